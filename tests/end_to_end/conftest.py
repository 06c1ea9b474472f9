"""The command line in an empty folder, and a tiny model and a picture for it."""

from pathlib import Path

import pytest
from command_line import cli
from odd_pictures import write_one
from tiny_model_folder import tiny_model

__all__ = ["cli", "tiny_model"]


@pytest.fixture
def cat(tmp_path: Path) -> Path:
    """A picture in the folder that the command line is in."""
    return write_one(tmp_path / "cat.png").relative_to(tmp_path)
