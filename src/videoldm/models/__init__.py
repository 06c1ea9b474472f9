"""Networks: the video UNet, the autoencoder and what they are made of."""
