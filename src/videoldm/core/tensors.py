"""Reading safetensors files."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from videoldm.core.errors import InputError


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a file, on the CPU; raises InputError if it is missing, cut off or something else."""
    if not path.is_file():
        raise InputError(f"{path}: does not exist, it should hold weights as safetensors")
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{path}: cannot be read as safetensors: {error}") from None
