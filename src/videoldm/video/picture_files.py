"""Picture files of a folder, and the ways to fit a picture into a frame; torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file, is_folder

FitMode = Literal["crop", "pad", "stretch"]
"""Way to fit a picture of another aspect ratio into a frame."""


# HEIC cannot be read, but reading it says so.
PICTURE_ENDINGS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".png", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".jp2", ".ppm", ".pgm",
    ".tga", ".ico", ".mpo", ".heic", ".heif",
})  # fmt: skip


def pictures_in(folder: Path) -> list[Path]:
    """Return all pictures of a folder, sorted by name; raises InputError if there are none."""
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: cannot be read: {error.strerror}") from None
    pictures = [path for path in entries if path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith(".")]
    if not pictures:
        raise InputError(f"{folder}: is a folder without pictures, it should hold some (.jpg, .png, .webp, ...)")
    return pictures


def find_pictures(path: str) -> list[Path]:
    """Return the picture itself, or all pictures of a folder, sorted by name; raise InputError if there are none."""
    if not is_folder(path):
        return [existing_file(path, kind="a picture or a folder of pictures")]
    return pictures_in(Path(path))
