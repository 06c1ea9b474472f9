"""Reading safetensors files."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from videoldm.core.errors import InputError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU; raises InputError if it is missing, cut off or something else."""
    if not path.is_file():
        raise InputError(f"{path}: does not exist, it should hold weights as safetensors")
    with reading_tensors(path):
        return load_file(path)


@contextmanager
def reading_tensors(path: Path) -> Generator[None]:
    """Tell of a file that is cut off or something else as InputError, whoever reads it within the context."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: {_mistaken(path) or f'cannot be read as safetensors: {error}'}") from None


def _mistaken(path: Path) -> str:
    """What a file is that often lies where weights should be; empty if that cannot be told."""
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip().lower()
    except OSError:
        return ""
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of git-lfs and no weights, `git lfs pull` fetches them"
    if start.startswith((b"<!doctype html", b"<html")):
        return "is a web page and no weights, download the file itself"
    return ""
