"""What is in a dataset, for people: figures, histograms, pictures of clips."""
