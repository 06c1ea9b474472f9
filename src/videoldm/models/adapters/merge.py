"""Adapters merged into the weights: nothing is left to compute, and whatever speeds up the network works as before.

Merging comes first: what was derived from the weights earlier (folded, quantised, compiled in) knows nothing of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from videoldm.models.adapters.low_rank import Adapter, Layer, adapted_layers


@dataclass(frozen=True, eq=False)
class Merged:
    """The weights that a merge has changed, each with a copy of what it was, in the computer's main memory."""

    originals: tuple[tuple[Tensor, Tensor], ...]

    @torch.no_grad()
    def unmerge(self) -> None:
        """Bring the copies back, bit by bit; several merges are taken back from the last to the first."""
        for weight, original in self.originals:
            weight.copy_(original)


def merge(module: nn.Module, adapters: Sequence[Adapter]) -> Merged:
    """Add adapters to the weights of `module`, in a way that can be taken back.

    Raises InputError, before anything has changed, if an adapter does not fit.
    """
    weights = [layer.weight for layer in _changed(module, adapters).values()]
    merged = Merged(tuple((weight, weight.detach().to("cpu", copy=True)) for weight in weights))
    merge_for_good(module, adapters)
    return merged


@torch.no_grad()
def merge_for_good(module: nn.Module, adapters: Sequence[Adapter]) -> None:
    """Add adapters to the weights of `module` without keeping a copy of them.

    Sums are taken in float32, layer by layer, so that weights of 16 bits are rounded once.
    Raises InputError, before anything has changed, if an adapter does not fit.
    """
    for path, layer in _changed(module, adapters).items():
        dtype = torch.promote_types(layer.weight.dtype, torch.float32)
        updated = layer.weight.to(dtype, copy=True, memory_format=torch.contiguous_format)
        for adapter in _acting(adapters):
            if path in adapter.lora:
                adapter.lora[path].add_to(updated, strength=adapter.weight)
        layer.weight.copy_(updated)


def _acting(adapters: Sequence[Adapter]) -> list[Adapter]:
    return [adapter for adapter in adapters if adapter.weight != 0]


def _changed(module: nn.Module, adapters: Sequence[Adapter]) -> dict[str, Layer]:
    changed: dict[str, Layer] = {}
    for adapter in _acting(adapters):
        changed |= adapted_layers(module, adapter.lora)
    return changed
