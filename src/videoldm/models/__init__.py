"""Networks: the video UNet, the autoencoder, CLIP encoders, the discriminator, and adapters."""
