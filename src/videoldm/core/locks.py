"""Folders that one process at a time writes to."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from videoldm.core.errors import InputError

LOCK_FILE = "lock"


@contextmanager
def alone_in(folder: Path, refusal: str) -> Generator[None]:
    """Keep others that ask out of `folder`, which is made if it is missing; a process that was killed leaves no lock.

    Raises InputError with the folder and the `refusal` if another is in there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK_FILE, blocking=False)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(f"{folder}: {refusal}") from None
    try:
        yield
    finally:
        lock.release()
