"""Sources by URL, as fsspec understands them: found where they are, and read from a copy on this machine."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError


def is_url(path: str) -> bool:
    """Whether a path names a place that fsspec has to open."""
    return "://" in path


def find_urls(name: str, endings: frozenset[str]) -> list[str]:
    """The files that a URL means: itself, a pattern, or a folder with all videos below it."""
    files, path = _opened(name)
    try:
        if glob.has_magic(path):
            found = [each for each in files.glob(path) if files.isfile(each)]
        elif files.isdir(path):
            inside = [(each, each.removeprefix(path)) for each in files.find(path)]
            found = [each for each, name in inside if Path(name).suffix.lower() in endings and "/." not in f"/{name}"]
        else:
            found = [path]
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read: {error}") from None
    if not found:
        raise InputError(f"{name}: no video is there")
    return sorted(str(files.unstrip_protocol(each)) for each in found)


def remote_size(path: str) -> int | None:
    """In bytes, None if it cannot be had."""
    try:
        files, place = _opened(path)
        return files.size(place)
    except (InputError, OSError, ValueError):
        return None


def local_path(path: str) -> str:
    """`path` itself, or of a URL a copy in the cache of this machine; raises InputError if it cannot be fetched."""
    if not is_url(path):
        return path
    import fsspec

    try:
        cache = {"cache_storage": str(cache_folder()), "check_files": True}  # fetched again if it has changed there
        found: Any = fsspec.open_local(f"filecache::{path}", filecache=cache)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{path}: cannot be fetched: {error}") from None
    return str(found)


def cache_folder() -> Path:
    """Where copies of sources lie; delete it as you like."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "videoldm" / "sources"


def _opened(name: str) -> tuple[Any, str]:
    import fsspec

    try:
        found: Sequence[Any] = fsspec.url_to_fs(name)
    except (ValueError, ImportError) as error:
        raise InputError(f"{name}: cannot be opened: {error}") from None
    return found[0], str(found[1])
