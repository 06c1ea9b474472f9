"""The pictures that a user points at."""

from __future__ import annotations

import os
from pathlib import Path

from videoldm.core.reading import existing_file
from videoldm.video.picture_files import pictures_in


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; names that no file can have are no folders."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for names that are too long


def find_pictures(image: str) -> list[Path]:
    """The picture itself, or all pictures of a folder, sorted by name."""
    if not is_folder(image):
        return [existing_file(image, kind="a picture or a folder of pictures")]
    return pictures_in(Path(image))
