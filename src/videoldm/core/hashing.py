"""Content hashes, which name source files and tell whether inputs have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from videoldm.core.input_file import existing_file


def file_hash(path: str | Path) -> str:
    """The BLAKE2b-160 hash of the file's bytes, 40 hexadecimal digits; raises InputError if it cannot be read."""
    with existing_file(path, kind="a file").open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=20)).hexdigest()


def files_hash(folder: Path, paths: Iterable[Path]) -> str:
    """The hash over names within `folder` and bytes of those `paths` that are files, 40 hexadecimal digits."""
    files = sorted(path for path in paths if path.is_file())
    lines = "".join(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n" for path in files)
    return hashlib.blake2b(lines.encode(), digest_size=20).hexdigest()


def combined_hash(paths: Iterable[Path]) -> str:
    """The hash over the content of files in this order, wherever they lie, 40 hexadecimal digits."""
    lines = "".join(f"{file_hash(path)}\n" for path in paths)
    return hashlib.blake2b(lines.encode(), digest_size=20).hexdigest()
