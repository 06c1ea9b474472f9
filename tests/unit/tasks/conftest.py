"""Offers the tiny model."""

from tiny_model import tiny_model

__all__ = ["tiny_model"]
