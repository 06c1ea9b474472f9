"""Training clips: which ones, in which batches, and their latents."""
