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
        raise InputError(f"{path}: cannot be read as safetensors: {error}") from None
