"""Reading input files: checks before anything opens them, JSON, content hashes, safetensors."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError

from videoldm.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def existing_file(path: str | Path, *, kind: str) -> Path:
    """Return `path` as a Path if it is a readable, non-empty file, else raise InputError.

    kind: what the file should be, for error messages ("a picture").
    """
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


def is_folder(path: str | Path) -> bool:
    """Whether a folder is there; names that no file can have are not folders."""
    return os.path.isdir(path)  # noqa: PTH112 - Path.is_dir raises for names that are too long


def read_json(path: str | Path) -> Any:
    """Read the JSON value in `path`; raises InputError if the file is unreadable or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise InputError(f"{path}: is not valid JSON: {error}") from None


def read_mapping(path: str | Path) -> dict[str, Any]:
    """Read the object in a JSON file; raises InputError for any other content."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a {type(value).__name__}, it should hold an object with named values")
    return cast("dict[str, Any]", value)


def file_hash(path: str | Path) -> str:
    """Return the BLAKE2b-160 hash of a file's bytes, 40 hexadecimal digits; raises InputError if it is unreadable."""
    with existing_file(path, kind="a file").open("rb") as file:
        return hashlib.file_digest(file, partial(hashlib.blake2b, digest_size=20)).hexdigest()


def files_hash(folder: Path, paths: Iterable[Path]) -> str:
    """Return the hash of the names within `folder` and the bytes of those `paths` that are files, 40 hex digits."""
    files = sorted(path for path in paths if path.is_file())
    lines = "".join(f"{path.relative_to(folder).as_posix()} {file_hash(path)}\n" for path in files)
    return hashlib.blake2b(lines.encode(), digest_size=20).hexdigest()


def combined_hash(paths: Iterable[Path]) -> str:
    """Return the hash of the content of files in the given order, 40 hexadecimal digits; their names do not count."""
    lines = "".join(f"{file_hash(path)}\n" for path in paths)
    return hashlib.blake2b(lines.encode(), digest_size=20).hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read all tensors of a safetensors file to the CPU; raises InputError if it is missing, cut off or invalid."""
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"{path}: does not exist, it should hold weights as safetensors")
    with safetensors_errors(path):
        return load_file(path)


@contextmanager
def safetensors_errors(path: Path) -> Generator[None]:
    """Turn errors from reading `path` as safetensors, because it is cut off or invalid, into an InputError."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: {_common_mistake(path) or f'cannot be read as safetensors: {error}'}") from None


def _common_mistake(path: Path) -> str:
    """Describe a file of the kinds often mistaken for weights; empty if it is none of them."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError:
        return ""
    if start.startswith(b"version https://git-lfs"):
        return "is a git-lfs pointer, not weights, `git lfs pull` fetches them"
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page, not weights, download the file itself"
    return ""
