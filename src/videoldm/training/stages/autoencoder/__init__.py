"""The stage of the autoencoder."""
