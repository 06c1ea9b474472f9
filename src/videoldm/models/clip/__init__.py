"""CLIP text and image encoders: sizes, builders, the small tokenizer, the contrastive loss."""
