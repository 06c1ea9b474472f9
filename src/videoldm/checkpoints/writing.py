"""Writing safetensors files tensor by tensor, so that a checkpoint of any size passes through little memory.

The format is https://github.com/huggingface/safetensors: the length of the header, the header as JSON, the data.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from videoldm.checkpoints.stored import DTYPES
from videoldm.core.files import atomic_file
from videoldm.core.progress import Advance

ALIGNMENT = 8
NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True, kw_only=True)
class Source:
    """A tensor that is made when its turn comes."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    make: Callable[[], Tensor]

    @property
    def num_bytes(self) -> int:
        """What it takes in the file."""
        return math.prod(self.shape) * self.dtype.itemsize


def write_tensors(path: Path, tensors: Mapping[str, Source], advance: Advance) -> None:
    """Write a file atomically, calling `advance` after each tensor; only one is in memory at a time."""
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
