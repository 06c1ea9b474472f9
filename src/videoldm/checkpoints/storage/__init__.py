"""Weights on disk and on the hub: found, read tensor by tensor, and written."""
