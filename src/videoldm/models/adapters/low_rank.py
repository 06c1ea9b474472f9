"""Low-rank updates of a network's weights (LoRA, arXiv 2106.09685), and their merge into the weights.

A merge leaves nothing to compute, so that whatever speeds up the network works as before. It comes first: weights that
were derived earlier (folded, quantised, compiled in) do not contain it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoldm.core.errors import InputError
from videoldm.models.layers import TemporalConv

Layer = nn.Linear | nn.Conv2d | TemporalConv
"""A layer that can be adapted: its weight is `o i` or `o i kernel...`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LowRank:
    """An update of one layer's weight, alpha / rank * up @ down (section 4.1).

    `down` has the layer's own kernel, if it has one, and `up` a kernel of size 1.
    """

    down: Float[Tensor, "r i ..."]
    up: Float[Tensor, "o r ..."]
    alpha: float

    @property
    def rank(self) -> int:
        """Number of channels between `down` and `up`."""
        return self.down.shape[0]

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weight that is updated."""
        return (self.up.shape[0], *self.down.shape[1:])

    def add_to(self, weight: Float[Tensor, "o i ..."], *, strength: float) -> None:
        """Add `strength` times the update to `weight`, in place and in its precision."""
        up, down = (matrix.to(weight).flatten(1) for matrix in (self.up, self.down))
        weight.view(weight.shape[0], -1).addmm_(up, down, alpha=strength * self.alpha / self.rank)


LoRA = Mapping[str, LowRank]
"""Path of a module -> the update of its weight."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA and its weight: 0 is without effect, 1 as trained."""

    lora: LoRA
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_weight(self.weight)


def check_weight(weight: float) -> None:
    """Raise InputError for a weight of an adapter that is not finite."""
    if not math.isfinite(weight):
        raise InputError(f"the weight of a LoRA is {weight}, it should be a finite number")


def adaptable_layers(module: nn.Module) -> dict[str, Layer]:
    """Return every layer of `module` that can be adapted, by its path."""
    return {path: layer for path, layer in module.named_modules() if isinstance(layer, Layer)}


def adapted_layers(module: nn.Module, lora: LoRA, *, source: str = "LoRA") -> dict[str, Layer]:
    """Return the layers that `lora` updates.

    Raises InputError, which begins with `source`, if one is missing or has another shape.
    """
    known = adaptable_layers(module)
    for path, update in lora.items():
        if path not in known:
            raise InputError(f"{source}: {path} is not a linear layer or convolution of this network")
        shape = tuple(known[path].weight.shape)
        if update.weight_shape != shape:
            raise InputError(
                f"{source}: made for another model, {path} is {shape} here and would be {update.weight_shape}"
            )
    return {path: known[path] for path in lora}


def without_effect_on_one_token(paths: Iterable[str]) -> list[str]:
    """Return the layers of a UNet whose update has no effect on a one-token context, where the softmax is always 1."""
    return [path for path in paths if path.endswith((".cross_attention.to_q", ".cross_attention.to_k"))]


@dataclass(frozen=True, eq=False)
class MergedAdapters:
    """The weights that a merge has changed, each with a copy of its earlier value in the host's memory."""

    originals: tuple[tuple[Tensor, Tensor], ...]

    @torch.no_grad()
    def unmerge(self) -> None:
        """Restore the copies, bit by bit; undo several merges from the last to the first."""
        for weight, original in self.originals:
            weight.copy_(original)


def merge(module: nn.Module, adapters: Sequence[Adapter]) -> MergedAdapters:
    """Add adapters to the weights of `module` in a way that can be undone.

    Raises InputError, before anything has changed, if an adapter does not fit.
    """
    weights = [layer.weight for layer in _changed(module, adapters).values()]
    merged = MergedAdapters(tuple((weight, weight.detach().to("cpu", copy=True)) for weight in weights))
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
