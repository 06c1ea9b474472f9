"""Latent video diffusion: train models, generate videos, measure results."""

__version__ = "0.1.0"
