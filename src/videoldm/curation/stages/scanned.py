"""The folder that the decode of one source leaves, until its batch is complete."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa

from videoldm.core.files import read_mapping
from videoldm.curation.store.parts import read_part

SOURCE_FILE, SIGNALS_FILE, FRAMES_FILE = "source.json", "signals.parquet", "frames.parquet"


def is_scanned(folder: Path) -> bool:
    """Whether the decode has ended; the folder appears at once."""
    return (folder / SOURCE_FILE).is_file()


def forget(folder: Path) -> None:
    """Remove the folder; interrupted on the way, what is left of it counts as not scanned."""
    (folder / SOURCE_FILE).unlink()
    shutil.rmtree(folder)


def read_row(folder: Path) -> dict[str, Any]:
    """The source's row, as far as it comes from the file itself."""
    return read_mapping(folder / SOURCE_FILE)


def read_signals(folder: Path) -> pa.Table | None:
    """Signals of each frame; None if there are no frames."""
    path = folder / SIGNALS_FILE
    return read_part(path) if path.exists() else None


def read_frames(folder: Path) -> pa.Table | None:
    """The small frames; None if there are none."""
    path = folder / FRAMES_FILE
    return read_part(path) if path.exists() else None
