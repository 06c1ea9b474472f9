"""The memory that tensors take at a time, counted exactly, for real tensors or for a computation without data."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):
    """Count, within the context, the bytes of all tensors made inside it that are still alive.

    Memory that one operation takes and frees itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now_bytes = 0
        self.peak_bytes = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operation and count the tensors that it made."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        given = {key for key, _ in map(_storage, tree_leaves((args, kwargs)))}
        for key, storage in map(_storage, tree_leaves(result)):
            if storage is not None and key not in self._known | given:
                self._add(key, storage)
        return result

    def _add(self, key: int, storage: torch.UntypedStorage) -> None:
        self._known.add(key)
        self.now_bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.now_bytes)
        weakref.finalize(storage, self._free, key, storage.nbytes())

    def _free(self, key: int, num_bytes: int) -> None:
        self._known.discard(key)
        self.now_bytes -= num_bytes


def peak_bytes(call: Callable[[], object]) -> int:
    """Return the peak bytes of new tensors while `call` runs on the meta device, without gradients."""
    with torch.no_grad(), _FusedAttention(), LiveTensors() as live:
        call()
    return live.peak_bytes


class _FusedAttention(TorchFunctionMode):
    """Compute attention as the kernels of real devices do, without a table of scores."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return func(*args, **(kwargs or {}))


def _storage(leaf: object) -> tuple[int, torch.UntypedStorage | None]:
    """Return a tensor's memory and its identity."""
    if not isinstance(leaf, Tensor):
        return 0, None
    storage = leaf.untyped_storage()
    return storage._cdata, storage  # pyright: ignore[reportPrivateUsage] - as torch's own trackers do
