"""Filling a network from a checkpoint: strictly, and tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from videoldm.checkpoints.keymap import KeyMap, Shape
from videoldm.core.errors import InputError
from videoldm.core.progress import notice

SHOWN_KEYS = 5


class Readable(Protocol):
    """A tensor that is read when it is needed."""

    @property
    def shape(self) -> Shape:
        """Its size along each axis."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Its precision."""
        ...

    @property
    def num_bytes(self) -> int:
        """What it takes where it is."""
        ...

    def read(self) -> Tensor:
        """The tensor, in memory that nothing else holds."""
        ...


@dataclass(frozen=True)
class Held:
    """A tensor that is in memory already."""

    tensor: Tensor

    @property
    def shape(self) -> Shape:
        """See `Readable`."""
        return tuple(self.tensor.shape)

    @property
    def dtype(self) -> torch.dtype:
        """See `Readable`."""
        return self.tensor.dtype

    @property
    def num_bytes(self) -> int:
        """See `Readable`."""
        return self.tensor.nbytes

    def read(self) -> Tensor:
        """See `Readable`."""
        return self.tensor.detach().clone(memory_format=torch.contiguous_format)


def held(tensors: Mapping[str, Tensor]) -> dict[str, Held]:
    """Tensors in memory, as `load` takes them."""
    return {key: Held(tensor) for key, tensor in tensors.items()}


def load(
    module: nn.Module,
    tensors: Mapping[str, Readable],
    key_map: KeyMap,
    *,
    source: str,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> list[str]:
    """Replace all weights of `module`, which may be on the meta device, and return the keys that were dropped.

    Each tensor is read, cast and moved before the next, so that beside the weights only one is in memory; `dtype` None
    keeps what is stored. Raises InputError, which begins with `source`, if tensors are missing, unexpected or of
    another shape, in which case the module is unchanged, and for values that are not finite.
    """
    expected = key_map.foreign_shapes(module.state_dict())
    dropped = check_shapes(tensors, expected, key_map.droppable, source=source)
    for foreign_key, tensor in tensors.items():
        if foreign_key not in expected:
            continue
        value = tensor.read()
        _check_finite(foreign_key, value, source)
        for key, part in key_map.native_parts(foreign_key, value.to(device=device, dtype=dtype)).items():
            _put(module, key, part)
    return dropped


def check_shapes(
    tensors: Mapping[str, Readable], expected: Mapping[str, Shape], droppable: tuple[str, ...], *, source: str
) -> list[str]:
    """Compare what is stored with what is needed; return the keys that are known and not needed.

    Raises InputError as `load` does.
    """
    extra = [key for key in tensors if key not in expected]
    problems = {
        "missing": [key for key in expected if key not in tensors],
        "unexpected": [key for key in extra if not key.startswith(droppable)],
        "misshapen": [
            f"{key} is {tensors[key].shape} instead of {shape}"
            for key, shape in expected.items()
            if key in tensors and tensors[key].shape != shape
        ],
    }
    for key in expected:
        if key in tensors and not tensors[key].dtype.is_floating_point:
            dtype = str(tensors[key].dtype).removeprefix("torch.")
            raise InputError(f"{source}: {key} is stored as {dtype}; quantised weights are not supported")
    if any(problems.values()):
        raise InputError(f"{source}: {'; '.join(_listing(*problem) for problem in problems.items() if problem[1])}")
    return extra


def tell_of_dropped(source: str, dropped: Sequence[str]) -> None:
    """Say in one line which tensors of a checkpoint are left out, if any."""
    if dropped:
        notice(f"{source}: {len(dropped)} tensors are not needed and left out ({dropped[0]}, ...)")


def _check_finite(key: str, value: Tensor, source: str) -> None:
    if not value.is_floating_point() or not value.numel():
        return
    low, high = (value.float() if value.dtype.itemsize == 1 else value).aminmax()
    if not (low.isfinite() and high.isfinite()):
        raise InputError(f"{source}: {key} holds NaN or infinite values, the file is damaged")


def _put(module: nn.Module, key: str, value: Tensor) -> None:
    path, _, name = key.rpartition(".")
    owner = module.get_submodule(path)
    old = getattr(owner, name)
    setattr(owner, name, nn.Parameter(value, old.requires_grad) if isinstance(old, nn.Parameter) else value)


def _listing(kind: str, items: list[str]) -> str:
    more = f" and {len(items) - SHOWN_KEYS} more" if len(items) > SHOWN_KEYS else ""
    return f"{len(items)} {kind} ({', '.join(items[:SHOWN_KEYS])}{more})"
