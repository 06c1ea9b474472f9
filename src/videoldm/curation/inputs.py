"""Inputs of a run: files, folders, patterns, URLs, and lists with metadata; a copy on this machine of each URL."""

from __future__ import annotations

import csv
import glob
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file
from videoldm.video.animated_webp import is_animated_webp

LISTS = (".csv", ".parquet")
PATH_COLUMN = "path"
ENDINGS = frozenset(
    [
        ".3gp",
        ".avi",
        ".flv",
        ".gif",
        ".m2ts",
        ".m4v",
        ".mkv",
        ".mov",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".mts",
        ".mxf",
        ".obu",
        ".ogv",
        ".ts",
        ".vob",
        ".webm",
        ".wmv",
        ".y4m",
    ]
)
"""Endings of videos in a folder, beside those of animated WebP; a file that is named itself may have any ending."""


@dataclass(frozen=True, slots=True)
class Input:
    """A file as it was named, and what a list says about it."""

    path: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


def find_inputs(names: Sequence[str]) -> list[Input]:
    """Find the files that `names` stand for: files, folders (recursively), patterns, and lists (CSV or Parquet).

    A list has a column `path`, relative to the list's own folder; its other columns are metadata. Each file comes once,
    in the order of first mention, folders and patterns sorted, under its absolute path. Raises InputError for a name
    that stands for no file.
    """
    found: dict[str, Input] = {}
    for name in names:
        for entry in _inputs_of(name):
            path = entry.path if is_url(entry.path) else os.path.abspath(entry.path)  # noqa: PTH100 - links stay links
            known = found.get(path, entry).metadata
            found[path] = Input(path, {**known, **entry.metadata})
    if not found:
        raise InputError(f"{', '.join(names)}: no videos found, the known endings are {' '.join(sorted(ENDINGS))}")
    return list(found.values())


def _inputs_of(name: str) -> Iterator[Input]:
    path = Path(name)
    if is_url(name):
        yield from (Input(url) for url in find_urls(name, ENDINGS))
    elif path.is_dir():
        yield from (Input(str(file)) for file in _below(path))
    elif path.suffix.lower() in LISTS:
        yield from _listed(existing_file(path, kind="a list of videos"))
    elif path.exists() or path.is_symlink():
        yield Input(name)
    elif glob.has_magic(name):
        matches = sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute patterns
        if not matches:
            raise InputError(f"{name}: no file matches this pattern")
        yield from (Input(match) for match in matches if Path(match).is_file())
    else:
        raise InputError(
            f"{name}: does not exist, it should be a video, a folder, a pattern or a list (.csv, .parquet)"
        )


def _below(folder: Path) -> list[Path]:
    """Return the videos in the folder and the folders in it, without hidden ones."""
    found: list[Path] = []
    for root, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [Path(root, name) for name in sorted(files) if name[0] != "." and _is_video(Path(root, name))]
    return found


def _is_video(path: Path) -> bool:
    ending = path.suffix.lower()
    return ending in ENDINGS or (ending == ".webp" and path.is_file() and is_animated_webp(path))


def _listed(path: Path) -> Iterator[Input]:
    rows = list(_rows(path))
    if not rows:
        raise InputError(f"{path}: lists no videos")
    for number, row in enumerate(rows, start=1):
        name = row.pop(PATH_COLUMN, None)
        if not name:
            raise InputError(f"{path}, row {number}: has no {PATH_COLUMN!r}, a list needs a column of that name")
        yield Input(name if is_url(name) else str(path.parent / name), row)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    if path.suffix.lower() == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            rows = pq.read_table(path).to_pylist()
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{path}: cannot be read as Parquet: {error}") from None
        yield from ({key: str(value) for key, value in row.items() if value is not None} for row in rows)
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            text = file.read()
        for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
            yield {key: value for key, value in row.items() if key and value}
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}") from None


def is_url(path: str) -> bool:
    """Return whether a path is a URL, which fsspec has to open."""
    return "://" in path


def find_urls(name: str, endings: frozenset[str]) -> list[str]:
    """Find the files that a URL stands for: itself, a pattern, or a folder with all videos below it."""
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
        raise InputError(f"{name}: no videos found")
    return sorted(str(files.unstrip_protocol(each)) for each in found)


def remote_size(path: str) -> int | None:
    """Return the size in bytes, None if it is not known."""
    try:
        files, place = _opened(path)
        return files.size(place)
    except (InputError, OSError, ValueError):
        return None


def local_path(path: str) -> str:
    """Return `path` itself, or for a URL a copy in the cache of this machine; raises InputError if that fails."""
    if not is_url(path):
        return path
    import fsspec

    try:
        cache = {"cache_storage": str(cache_folder()), "check_files": True}  # downloaded again if it has changed
        found: Any = fsspec.open_local(f"filecache::{path}", filecache=cache)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{path}: cannot be downloaded: {error}") from None
    return str(found)


def cache_folder() -> Path:
    """Return the folder with copies of sources, which can be deleted at any time."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "videoldm" / "sources"


def _opened(name: str) -> tuple[Any, str]:
    import fsspec

    try:
        found: Sequence[Any] = fsspec.url_to_fs(name)
    except (ValueError, ImportError) as error:
        raise InputError(f"{name}: cannot be opened: {error}") from None
    return found[0], str(found[1])
