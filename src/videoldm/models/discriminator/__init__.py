"""The discriminator that a temporal decoder is trained against."""
