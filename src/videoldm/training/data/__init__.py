"""Training clips: their choice, the order in which they are read, and their latents."""
