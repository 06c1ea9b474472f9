"""The content hash that names a source file."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

from videoldm.video.input_file import existing_file


def file_hash(path: str | Path) -> str:
    """The BLAKE2b-160 hash of the file's bytes, 40 hexadecimal digits; raises InputError if it cannot be read."""
    with existing_file(path, kind="a file").open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=20)).hexdigest()
