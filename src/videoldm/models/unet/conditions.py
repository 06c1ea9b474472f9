"""What every block of the UNet is told in one forward pass."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True)
class BlockConditions:
    """Conditions of the frames of a batch of clips; rows of one clip lie together, in the order of time."""

    num_frames: int
    embedding: Float[Tensor, "bt e"]
    """Noise level and vector condition, after the last SiLU."""
    context: Float[Tensor, "b n d"]
    temporal_context: Float[Tensor, "b m d"]
    image_only: Bool[Tensor, "bt"] | None


def sinusoids(values: Real[Tensor, "*rows"], dim: int, *, period: float = 10_000.0) -> Float[Tensor, "*rows dim"]:
    """Embed numbers as `dim / 2` cosines, then as many sines, of geometrically falling frequency (fp32).

    The frequencies are period^(-i / (dim / 2)); an odd dim ends with a zero.
    """
    half = dim // 2
    steps = torch.arange(half, dtype=torch.float32, device=values.device)
    angles = values.float().unsqueeze(-1) * torch.exp(-math.log(period) / half * steps)
    return F.pad(torch.cat([angles.cos(), angles.sin()], dim=-1), (0, dim % 2))


class EmbeddingMLP(nn.Module):
    """Two linear layers with SiLU between."""

    def __init__(self, in_dim: int, hidden_dim: int, out_dim: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(in_dim, hidden_dim)
        self.linear2 = nn.Linear(hidden_dim, out_dim)

    def forward(self, embedding: Float[Tensor, "*rows d"]) -> Float[Tensor, "*rows d_out"]:
        """Apply the network."""
        return self.linear2(F.silu(self.linear1(embedding)))
