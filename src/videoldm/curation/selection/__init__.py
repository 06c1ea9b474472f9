"""Selection of clips: filters over the whole dataset, their counts, and the manifest of a result."""
