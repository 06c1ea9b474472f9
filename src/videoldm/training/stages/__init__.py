"""Training stages: one folder each, with its configuration and its objective for the loop."""
