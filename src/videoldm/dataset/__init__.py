"""Reading clips, latents and the order in which training visits them."""
