"""The stage that denoises latents, and what other stages that denoise share with it."""
