"""Small videos to curate."""

from __future__ import annotations

from pathlib import Path

import pytest
from fault_videos import pictures, write


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "raw videos"
    folder.mkdir()
    for number in range(6):
        write(folder / f"{number}.mp4", pictures(60 + number))
    return folder
