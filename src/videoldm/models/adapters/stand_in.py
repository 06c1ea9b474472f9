"""Low-rank updates that take what those of peft take; peft itself accepts no tensors without data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from videoldm.models.adapters.config import LoraPreset
from videoldm.models.adapters.fresh import target_layers
from videoldm.models.adapters.low_rank import Layer, layers
from videoldm.models.unet.network import VideoUNet


class StandIn(nn.Module):
    """A layer with an update in float32 beside it; for forecasts, as its numbers are not set."""

    def __init__(self, layer: Layer, rank: int) -> None:
        super().__init__()
        self.layer = layer
        num_outputs, *inputs = layer.weight.shape
        self.down = nn.Parameter(torch.empty(rank, *inputs, dtype=torch.float32))
        self.up = nn.Parameter(torch.empty(num_outputs, rank, dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output and the update."""
        result, x = self.layer(x), x.to(self.down.dtype)
        if isinstance(self.layer, nn.Linear):
            update = F.linear(F.linear(x, self.down), self.up)
        else:
            weights = {"weight": self.down, "bias": self.down.new_zeros(self.down.shape[0])}
            update = F.conv2d(functional_call(self.layer, weights, (x,)), self.up[..., None, None])
        return (result + 1.0 * update).to(result.dtype)


def put_stand_ins(unet: VideoUNet, preset: LoraPreset, *, has_one_token: bool) -> None:
    """Put updates beside the layers that a preset adapts."""
    known = layers(unet)
    for path in target_layers(unet, preset, has_one_token=has_one_token):
        parent, _, name = path.rpartition(".")
        setattr(unet.get_submodule(parent), name, StandIn(known[path], preset.rank))
