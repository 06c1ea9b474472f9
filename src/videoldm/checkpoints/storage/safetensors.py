"""Tensors in safetensors files, read and written one by one, so that a checkpoint of any size takes little memory.

Files are not mapped into memory, as their pages would count beside copies in another precision or on another device.
The format is https://github.com/huggingface/safetensors: the length of the header, the header as JSON, the data.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.core.progress import Advance
from videoldm.core.reading import existing_file, read_mapping, safetensors_errors

INDEX_ENDING = ".index.json"
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""Precisions by their names in safetensors files."""
ALIGNMENT = 8
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class LazyTensor(Protocol):
    """A tensor that is read when it is needed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the stored values."""
        ...

    @property
    def num_bytes(self) -> int:
        """Size of the stored values in bytes."""
        ...

    def read(self) -> Tensor:
        """Return the tensor on the CPU, in memory of its own."""
        ...


@dataclass(frozen=True)
class LoadedTensor:
    """A tensor that is in memory."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Size along each axis."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the tensor."""
        return self.tensor.dtype

    @property
    def num_bytes(self) -> int:
        """Size of the tensor in bytes."""
        return self.tensor.nbytes

    def read(self) -> Tensor:
        """Return a contiguous copy."""
        return self.tensor.detach().clone(memory_format=torch.contiguous_format)


def loaded_tensors(tensors: Mapping[str, Tensor]) -> dict[str, LoadedTensor]:
    """Return tensors in memory as `load_weights` takes them."""
    return {key: LoadedTensor(tensor) for key, tensor in tensors.items()}


@dataclass(frozen=True, kw_only=True)
class StoredTensor:
    """A tensor in a file: its place, shape and precision."""

    file: Path
    offset: int
    """Bytes from the beginning of the file."""
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Size in the file in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> Tensor:
        """Read the tensor into memory of its own; raises InputError if the file was cut off since it was opened."""
        tensor = torch.empty(self.shape, dtype=self.dtype)
        with self.file.open("rb", buffering=0) as file:
            file.seek(self.offset)
            flat = memoryview(tensor.view(-1).view(torch.uint8).numpy().data)
            while flat:
                num_read = file.readinto(flat)
                if not num_read:
                    raise InputError(f"{self.file}: ends too early, it was changed while it was read")
                flat = flat[num_read:]
        return tensor


def stored_tensors(path: Path) -> dict[str, StoredTensor]:
    """List the tensors of a safetensors file, or of all files that an index names, without reading any.

    Raises InputError if a file is missing, cut off or something else.
    """
    if not path.name.endswith(INDEX_ENDING):
        return _in_one_file(path)
    found: dict[str, StoredTensor] = {}
    for name in sorted(files_of(path)):
        found |= _in_one_file(path.with_name(name))
    return found


def files_of(index: Path) -> set[str]:
    """Return the names of the files in an index; raises InputError if there are none."""
    files = read_mapping(index).get("weight_map")
    if not isinstance(files, dict) or not all(isinstance(name, str) for name in files.values()):
        raise InputError(f"{index}: has no weight_map, it should say in which file each tensor lies")
    return set(files.values())


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str] | None = None) -> None:
    """Write tensors in memory to a file atomically; they keep their precision."""
    with atomic_file(path) as partial:
        save_file({key: tensor.detach().contiguous() for key, tensor in tensors.items()}, partial, metadata)


@dataclass(frozen=True, kw_only=True)
class TensorSource:
    """A tensor that is made when it is written."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]

    @property
    def num_bytes(self) -> int:
        """Size in the file in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_tensors(path: Path, tensors: Mapping[str, TensorSource], advance: Advance) -> None:
    """Write a file atomically, with only one tensor in memory at a time; calls `advance` after each."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for key, tensor in tensors.items():
        end = offset + tensor.num_bytes
        header[key] = {"dtype": NAMES[tensor.dtype], "shape": tensor.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with atomic_file(path) as partial, partial.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for key, tensor in tensors.items():
            value = tensor.make()
            assert (tuple(value.shape), value.dtype) == (tensor.shape, tensor.dtype), key
            file.write(value.contiguous().view(-1).view(torch.uint8).numpy().data)
            advance()


def _in_one_file(path: Path) -> dict[str, StoredTensor]:
    existing_file(path, kind="weights as safetensors")
    with safetensors_errors(path), safe_open(path, framework="pt"):
        pass  # opening checks the header and that all of its tensors lie within the file
    with path.open("rb") as file:
        (header_bytes,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(header_bytes))
    header.pop("__metadata__", None)
    return {key: _stored(path, 8 + header_bytes, key, entry) for key, entry in header.items()}


def _stored(path: Path, data_start: int, key: str, entry: Mapping[str, object]) -> StoredTensor:
    name, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if name not in DTYPES:
        raise InputError(f"{path}: {key} is stored as {name}, it should be one of {', '.join(DTYPES)}")
    assert isinstance(name, str)
    assert isinstance(shape, list)
    assert isinstance(offsets, list)
    return StoredTensor(file=path, offset=data_start + offsets[0], shape=tuple(shape), dtype=DTYPES[name])
