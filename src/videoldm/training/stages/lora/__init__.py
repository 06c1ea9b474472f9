"""The stage of a LoRA."""
