"""Low-rank updates of a network's weights (LoRA, arXiv 2106.09685)."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from videoldm.core.errors import InputError
from videoldm.models.layers.convolution import TemporalConv

Layer = nn.Linear | nn.Conv2d | TemporalConv
"""What can be adapted: layers whose weight is `o i` or `o i kernel...`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LowRank:
    """The update of one layer's weight, alpha / rank * up @ down (section 4.1).

    `down` has the layer's own kernel, if it has one, and `up` a kernel of size 1.
    """

    down: Float[Tensor, "r i ..."]
    up: Float[Tensor, "o r ..."]
    alpha: float

    @property
    def rank(self) -> int:
        """The number of channels between `down` and `up`."""
        return self.down.shape[0]

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """The shape of the weights that this updates."""
        return (self.up.shape[0], *self.down.shape[1:])

    def add_to(self, weight: Float[Tensor, "o i ..."], *, strength: float) -> None:
        """Add `strength` times the update to `weight`, in place and in its precision."""
        up, down = (matrix.to(weight).flatten(1) for matrix in (self.up, self.down))
        weight.view(weight.shape[0], -1).addmm_(up, down, alpha=strength * self.alpha / self.rank)


LoRA = Mapping[str, LowRank]
"""Path of a module -> the update of its weight."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA and how strongly it acts: 0 is not at all, 1 as it was trained."""

    lora: LoRA
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_weight(self.weight)


def check_weight(weight: float) -> None:
    """Refuse with InputError what cannot be the weight of an adapter."""
    if not math.isfinite(weight):
        raise InputError(f"the weight of a LoRA is {weight}, it should be a finite number")


def layers(module: nn.Module) -> dict[str, Layer]:
    """Every layer of `module` that can be adapted, by its path."""
    return {path: layer for path, layer in module.named_modules() if isinstance(layer, Layer)}


def adapted_layers(module: nn.Module, lora: LoRA, *, source: str = "LoRA") -> dict[str, Layer]:
    """The layers that `lora` updates; raises InputError, which begins with `source`, if one is missing or misshapen."""
    known = layers(module)
    for path, update in lora.items():
        if path not in known:
            raise InputError(f"{source}: {path} is no linear layer or convolution of this network")
        shape = tuple(known[path].weight.shape)
        if update.weight_shape != shape:
            raise InputError(
                f"{source}: made for another model, {path} is {shape} here and would be {update.weight_shape}"
            )
    return {path: known[path] for path in lora}


def without_effect_on_one_token(paths: Iterable[str]) -> list[str]:
    """The layers of a UNet where an update changes nothing if the context is one token: its softmax is always 1."""
    return [path for path in paths if path.endswith((".cross_attention.to_q", ".cross_attention.to_k"))]
