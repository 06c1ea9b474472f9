"""Reports on a dataset for people: figures, histograms, pictures of clips."""
