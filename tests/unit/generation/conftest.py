"""Offers the tiny model."""

from tiny_model_folder import tiny_model

__all__ = ["tiny_model"]
