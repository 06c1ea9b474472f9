"""What can be told of a clip only beside all others: one file a comparison."""
