"""LoRA files of every style: read as updates of our modules, and written."""
