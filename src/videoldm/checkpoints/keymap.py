"""Declarative, invertible maps between the names of our modules and the names in a foreign checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn

from videoldm.core.errors import InputError

Names = Mapping[str, str]
"""Native module path -> foreign module path. Parameters (`weight`, `bias`, ...) have the same name in both."""

SHOWN_ITEMS = 5


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


def load(module: nn.Module, tensors: Mapping[str, Tensor], key_map: KeyMap, *, source: str) -> list[str]:
    """Load a foreign checkpoint into a module, strictly, and return the keys that were dropped.

    Tensors are cast to the module's dtype; a module on the meta device takes them as they are.
    Raises InputError, which begins with `source`, if tensors are missing, unexpected or of another shape.
    """
    expected = key_map.to_foreign(module.state_dict())
    extra = [key for key in tensors if key not in expected]
    dropped = [key for key in extra if key.startswith(key_map.droppable)]
    problems = {
        "missing": [key for key in expected if key not in tensors],
        "unexpected": [key for key in extra if not key.startswith(key_map.droppable)],
        "misshapen": [
            f"{key} is {tuple(tensors[key].shape)} instead of {tuple(value.shape)}"
            for key, value in expected.items()
            if key in tensors and tensors[key].shape != value.shape
        ],
    }
    if any(problems.values()):
        raise InputError(f"{source}: {'; '.join(_listing(*problem) for problem in problems.items() if problem[1])}")
    native = key_map.to_native({key: tensors[key] for key in expected})
    module.load_state_dict(native, assign=any(value.is_meta for value in expected.values()))
    return dropped


def _listing(kind: str, items: list[str]) -> str:
    more = f" and {len(items) - SHOWN_ITEMS} more" if len(items) > SHOWN_ITEMS else ""
    return f"{len(items)} {kind} ({', '.join(items[:SHOWN_ITEMS])}{more})"


def _join(*paths: str) -> str:
    return ".".join(path for path in paths if path)
