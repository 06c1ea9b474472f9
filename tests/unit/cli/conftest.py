"""The command line in an empty folder, and a tiny model for it."""

from command_line import cli
from tiny_model_folder import tiny_model

__all__ = ["cli", "tiny_model"]
