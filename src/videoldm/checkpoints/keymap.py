"""Declarative, invertible maps between the names of our modules and the names in a foreign checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Stored:
    """A tensor that is stored under another name; subclasses also change its form."""

    path: str

    def to_foreign(self, tensor: Tensor) -> Tensor:
        """Give a native tensor its stored form."""
        return tensor

    def to_native(self, tensor: Tensor) -> Tensor:
        """Undo `to_foreign`."""
        return tensor


@dataclass(frozen=True)
class Pointwise(Stored):
    """The weight of a linear layer that is stored as one of a 1 x 1 convolution."""

    def to_foreign(self, tensor: Tensor) -> Tensor:
        """Append two axes of space."""
        return tensor[..., None, None]

    def to_native(self, tensor: Tensor) -> Tensor:
        """Remove the axes of space."""
        return tensor[..., 0, 0]


@dataclass(frozen=True)
class Transposed(Stored):
    """A matrix that is stored transposed."""

    def to_foreign(self, tensor: Tensor) -> Tensor:
        """Transpose the matrix."""
        return tensor.T.contiguous()

    def to_native(self, tensor: Tensor) -> Tensor:
        """Transpose the matrix back."""
        return tensor.T.contiguous()


@dataclass(frozen=True)
class Rows(Stored):
    """One of several tensors of the same shape that are stored as one, in the order of their `index`."""

    index: int


Names = Mapping[str, str | Stored]
"""Native path -> place in a foreign layout.

A path is that of a module, whose tensors (`weight`, `bias`, ...) have the same names and forms in both layouts, or that
of a single tensor. A tensor whose form changes has an entry of its own.
"""


def under(native: str, foreign: str, names: Names) -> dict[str, str | Stored]:
    """Put all paths of `names` below a native and a foreign module; an empty path is the module itself."""
    return {_join(native, ours): _below(foreign, theirs) for ours, theirs in names.items()}


def pointwise(native: str, foreign: str) -> Names:
    """Map a linear layer that is stored as a 1 x 1 convolution."""
    return {f"{native}.weight": Pointwise(f"{foreign}.weight"), f"{native}.bias": f"{foreign}.bias"}


@dataclass(frozen=True)
class KeyMap:
    """An invertible map from each foreign tensor to one of ours, or to several whose rows it holds.

    It knows all names of a layout, including modules that a smaller network lacks: the tensors that a checkpoint must
    have follow from a module, by `foreign_shapes`.

    droppable: prefixes of foreign keys that are known and not needed.
    """

    names: Names
    droppable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for foreign, natives in self._natives.items():
            places = [self.names[native] for native in natives]
            rows = [place.index if isinstance(place, Rows) else None for place in places]
            assert rows in ([None], list(range(len(rows)))), f"{natives} have the same foreign name {foreign}"

    @cached_property
    def _natives(self) -> dict[str, tuple[str, ...]]:
        """Native paths of each foreign path, rows in their order."""
        natives: dict[str, list[str]] = {}
        for ours, theirs in self.names.items():
            natives.setdefault(_path(theirs), []).append(ours)
        return {foreign: tuple(sorted(paths, key=self._row)) for foreign, paths in natives.items()}

    @property
    def paths(self) -> dict[str, str]:
        """Foreign path of each native path."""
        return {ours: _path(theirs) for ours, theirs in self.names.items()}

    def native_keys(self, foreign_key: str) -> tuple[str, ...]:
        """Return our names of the tensors in a foreign tensor, none for an unknown one."""
        if foreign_key in self._natives:
            return self._natives[foreign_key]
        module, _, parameter = foreign_key.rpartition(".")
        return tuple(_join(native, parameter) for native in self._natives.get(module, ()))

    def foreign_key(self, native_key: str) -> str:
        """Return the foreign name of the tensor that holds one of ours."""
        if native_key in self.names:
            return _path(self.names[native_key])
        module, _, parameter = native_key.rpartition(".")
        return _join(_path(self.names[module]), parameter)

    def foreign_keys(self, native_keys: Iterable[str]) -> list[str]:
        """Return the foreign names of our tensors, each once."""
        return list(dict.fromkeys(self.foreign_key(key) for key in native_keys))

    def native_parts(self, foreign_key: str, tensor: Tensor) -> dict[str, Tensor]:
        """Divide one foreign tensor into ours, independently of others; empty for an unknown one.

        Its shape must be that of `foreign_shapes`. The parts may be views of it.
        """
        keys = self.native_keys(foreign_key)
        parts = tensor.chunk(len(keys)) if len(keys) > 1 else [tensor] * len(keys)
        return {key: self._stored(key).to_native(part) for key, part in zip(keys, parts, strict=True)}

    def foreign_tensor(self, foreign_key: str, native: Mapping[str, Tensor]) -> Tensor:
        """Make one foreign tensor from ours in `native_keys`; the inverse of `native_parts`."""
        parts = [self._stored(key).to_foreign(native[key]) for key in self.native_keys(foreign_key)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]

    def foreign_shapes(self, native: Mapping[str, Tensor]) -> dict[str, Shape]:
        """Return names and shapes of the foreign tensors that hold ours, without reading values."""
        shapes = {key: torch.empty(tensor.shape, device="meta") for key, tensor in native.items()}
        return {key: tuple(tensor.shape) for key, tensor in self.to_foreign(shapes).items()}

    def to_foreign(self, native: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename and reshape our tensors; the exact inverse of `to_native`."""
        return {key: self.foreign_tensor(key, native) for key in self.foreign_keys(native)}

    def to_native(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename and reshape foreign tensors, without those that are unknown."""
        native: dict[str, Tensor] = {}
        for key, tensor in foreign.items():
            native |= self.native_parts(key, tensor)
        return native

    def _stored(self, native_key: str) -> Stored:
        place = self.names.get(native_key)
        return place if isinstance(place, Stored) else Stored(self.foreign_key(native_key))

    def _row(self, native: str) -> int:
        place = self.names[native]
        return place.index if isinstance(place, Rows) else 0


def _path(place: str | Stored) -> str:
    return place if isinstance(place, str) else place.path


def _below(module: str, place: str | Stored) -> str | Stored:
    path = _join(module, _path(place))
    return path if isinstance(place, str) else replace(place, path=path)


def _join(*paths: str) -> str:
    return ".".join(path for path in paths if path)
