"""The pictures that a user points at."""

from __future__ import annotations

import os
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.core.input_file import existing_file

# A .heic cannot be read, which its user should be told.
PICTURE_ENDINGS = frozenset({
    ".jpg", ".jpeg", ".jpe", ".png", ".webp", ".avif", ".gif", ".bmp", ".dib", ".tif", ".tiff", ".jp2", ".ppm", ".pgm",
    ".tga", ".ico", ".mpo", ".heic", ".heif",
})  # fmt: skip


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; names that no file can have are no folders."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for names that are too long


def find_pictures(image: str) -> list[Path]:
    """The picture itself, or all pictures of a folder, sorted by name."""
    if not is_folder(image):
        return [existing_file(image, kind="a picture or a folder of pictures")]
    try:
        entries = sorted(Path(image).iterdir())
    except OSError as error:
        raise InputError(f"{image}: cannot be read: {error.strerror}") from None
    pictures = [path for path in entries if path.suffix.lower() in PICTURE_ENDINGS and not path.name.startswith(".")]
    if not pictures:
        raise InputError(f"{image}: is a folder without pictures, it should hold some (.jpg, .png, .webp, ...)")
    return pictures
