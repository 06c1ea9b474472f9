"""LoRA files: read in every style as updates of our modules, and written."""
