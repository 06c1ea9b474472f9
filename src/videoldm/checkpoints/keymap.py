"""Declarative, invertible maps between the names of our modules and the names in a foreign checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

Names = Mapping[str, str]
"""Native module path -> foreign module path. Parameters (`weight`, `bias`, ...) have the same name in both."""

Shape = tuple[int, ...]


def under(native: str, foreign: str, names: Names) -> dict[str, str]:
    """Put all paths of `names` below a native and a foreign module; an empty path is the module itself."""
    return {_join(native, ours): _join(foreign, theirs) for ours, theirs in names.items()}


@dataclass(frozen=True)
class KeyMap:
    """A one-to-one map of tensors.

    pointwise: native paths of linear layers which the foreign layout stores as 1 x 1 convolutions.
    droppable: prefixes of foreign keys that are known and not needed.
    """

    names: Names
    pointwise: frozenset[str] = frozenset()
    droppable: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        assert len(self._natives) == len(self.names), "two native modules have the same foreign name"
        assert self.pointwise <= self.names.keys(), self.pointwise - self.names.keys()

    @cached_property
    def _natives(self) -> dict[str, str]:
        return {theirs: ours for ours, theirs in self.names.items()}

    def native_key(self, foreign_key: str) -> str | None:
        """Return our name of a foreign tensor, None if the map does not know it."""
        module, _, parameter = foreign_key.rpartition(".")
        native = self._natives.get(module)
        return None if native is None else _join(native, parameter)

    def foreign_key(self, native_key: str) -> str:
        """Return the foreign name of one of our tensors."""
        module, _, parameter = native_key.rpartition(".")
        return _join(self.names[module], parameter)

    def foreign_shapes(self, native: Mapping[str, Shape]) -> dict[str, Shape]:
        """The names and shapes that our tensors have in the foreign layout."""
        return {
            self.foreign_key(key): (*shape, 1, 1) if self._is_pointwise(key) else shape for key, shape in native.items()
        }

    def native_parts(self, foreign_key: str, tensor: Tensor) -> dict[str, Tensor]:
        """What one foreign tensor is among ours; nothing if the map does not know it."""
        return self.to_native({foreign_key: tensor})

    def to_foreign(self, native: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename and reshape our tensors; the exact inverse of `to_native`."""
        return {
            self.foreign_key(key): tensor[..., None, None] if self._is_pointwise(key) else tensor
            for key, tensor in native.items()
        }

    def to_native(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename and reshape foreign tensors, leaving out those that the map does not know."""
        native: dict[str, Tensor] = {}
        for foreign_key, tensor in foreign.items():
            key = self.native_key(foreign_key)
            if key is not None:
                native[key] = tensor[..., 0, 0] if self._is_pointwise(key) else tensor
        return native

    def _is_pointwise(self, native_key: str) -> bool:
        return native_key.removesuffix(".weight") in self.pointwise


def _join(*paths: str) -> str:
    return ".".join(path for path in paths if path)
