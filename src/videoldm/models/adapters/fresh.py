"""Untrained LoRAs: the layers that a preset adapts, their first updates, and stand-ins without data for forecasts."""

from __future__ import annotations

import math
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from videoldm.core.random import normal
from videoldm.models.adapters.config import (
    AllLayersLora,
    LoraPreset,
    SpatialAttentionLora,
    TemporalAttentionLora,
    TemporalLayersLora,
)
from videoldm.models.adapters.low_rank import Layer, LoRA, LowRank, adaptable_layers, without_effect_on_one_token
from videoldm.models.unet.groups import is_temporal
from videoldm.models.unet.network import VideoUNet

PROJECTIONS = frozenset({"to_q", "to_k", "to_v", "to_out"})


def target_layers(unet: VideoUNet, preset: LoraPreset, *, has_one_token: bool) -> list[str]:
    """Return the paths of the layers that a preset adapts, without those that a one-token context leaves untrained."""
    known = adaptable_layers(unet)
    match preset:
        case TemporalAttentionLora():
            paths = [path for path in known if is_temporal(path) and _is_projection(path)]
        case TemporalLayersLora():
            paths = [path for path in known if is_temporal(path)]
        case SpatialAttentionLora():
            paths = [path for path in known if not is_temporal(path) and _is_projection(path)]
        case AllLayersLora():
            paths = list(known)
        case _:
            assert_never(preset)
    idle = set(without_effect_on_one_token(paths) if has_one_token else ())
    return [path for path in paths if path not in idle]


def fresh_lora(unet: VideoUNet, preset: LoraPreset, *, has_one_token: bool, seed: int) -> LoRA:
    """Return a LoRA without effect: `down` is drawn with variance 1 / inputs, `up` is zero (LoRA, section 4.1)."""
    known = adaptable_layers(unet)
    lora: dict[str, LowRank] = {}
    for path in target_layers(unet, preset, has_one_token=has_one_token):
        num_outputs, *inputs = known[path].weight.shape
        down = normal((preset.rank, *inputs), seed, f"lora {path}") * math.prod(inputs) ** -0.5
        up = down.new_zeros(num_outputs, preset.rank, *[1] * (len(inputs) - 1))
        lora[path] = LowRank(down=down, up=up, alpha=preset.alpha)
    return lora


def num_lora_parameters(unet: VideoUNet, preset: LoraPreset, *, has_one_token: bool) -> int:
    """Return the number of parameters of a preset's LoRA; the UNet may be on the meta device."""
    known = adaptable_layers(unet)
    weights = [known[path].weight for path in target_layers(unet, preset, has_one_token=has_one_token)]
    return sum(preset.rank * (weight.shape[0] + weight[0].numel()) for weight in weights)


def _is_projection(path: str) -> bool:
    return path.rpartition(".")[2] in PROJECTIONS


class StandIn(nn.Module):
    """A layer with a float32 update beside it whose numbers are not set; peft itself takes no tensors without data."""

    def __init__(self, layer: Layer, rank: int) -> None:
        super().__init__()
        self.layer = layer
        num_outputs, *inputs = layer.weight.shape
        self.down = nn.Parameter(torch.empty(rank, *inputs, dtype=torch.float32))
        self.up = nn.Parameter(torch.empty(num_outputs, rank, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output plus the update."""
        result, x = self.layer(x), x.to(self.down.dtype)
        if isinstance(self.layer, nn.Linear):
            update = F.linear(F.linear(x, self.down), self.up)
        else:
            weights = {"weight": self.down, "bias": self.down.new_zeros(self.down.shape[0])}
            update = F.conv2d(functional_call(self.layer, weights, (x,)), self.up[..., None, None])
        return (result + 1.0 * update).to(result.dtype)


def put_stand_ins(unet: VideoUNet, preset: LoraPreset, *, has_one_token: bool) -> None:
    """Put stand-ins in the place of the layers that a preset adapts."""
    known = adaptable_layers(unet)
    for path in target_layers(unet, preset, has_one_token=has_one_token):
        parent, _, name = path.rpartition(".")
        setattr(unet.get_submodule(parent), name, StandIn(known[path], preset.rank))
