"""Small videos to curate, and the command line in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import cli
from fault_videos import pictures, write

__all__ = ["cli"]


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "raw videos"
    folder.mkdir()
    for number in range(6):
        write(folder / f"{number}.mp4", pictures(60 + number))
    return folder
