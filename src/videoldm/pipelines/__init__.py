"""A model on disk and how it gets into memory: references, folders, published checkpoints, loading, writing."""
