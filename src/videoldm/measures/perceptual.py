"""Perceptual distance from the intermediate activations of a feature network."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_same_shape


def perceptual_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, " b"]:
    """Distance of two batches of videos from their activation maps, a list of `b t c h w` each; lower is closer.

    Channel vectors are scaled to unit length; the squared difference is averaged over positions and then over the
    layers, so it lies in [0, 4]. As LPIPS without learned weights (Zhang et al. 2018, "The Unreasonable Effectiveness
    of Deep Features as a Perceptual Metric").
    """
    if not first or len(first) != len(second):
        raise InputError(
            f"perceptual_distance: needs equally many maps, at least 1, got {len(first)} and {len(second)}"
        )
    layers: list[Tensor] = []
    for layer, (a, b) in enumerate(zip(first, second, strict=True)):
        check_same_shape(f"perceptual_distance, layer {layer}", a, b)
        layers.append((_unit(a) - _unit(b)).square().sum(dim=2).mean(dim=(1, 2, 3)))
    return torch.stack(layers).mean(dim=0)


def _unit(maps: Tensor) -> Tensor:
    values = maps.float()
    return values / values.norm(dim=2, keepdim=True).clamp_min(1e-8)
