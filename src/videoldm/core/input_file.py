"""The checks that every file a user names goes through before anything tries to read it."""

from __future__ import annotations

from pathlib import Path

from videoldm.core.errors import InputError


def existing_file(path: str | Path, *, kind: str) -> Path:
    """`path` as a Path to a readable file with content; `kind` says in errors what it should be ("a picture")."""
    found = Path(path)
    try:
        if not found.exists():
            raise InputError(f"{path}: does not exist, it should be {kind}")
        if found.is_dir():
            raise InputError(f"{path}: is a folder, it should be {kind}")
        if not found.is_file():
            raise InputError(f"{path}: is a device or pipe, it should be {kind}")
        with found.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path}: is empty (0 bytes), it should be {kind}")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return found
