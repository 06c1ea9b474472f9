"""Building blocks shared by the UNet and the autoencoder."""
