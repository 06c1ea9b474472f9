"""Pages, model cards and services that show how a run goes and what came of it."""
