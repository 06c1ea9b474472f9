"""How conditions enter the UNet: checked and joined inputs, embeddings of numbers, what every block receives."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Real
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.unet.config import UNetConfig


@dataclass(frozen=True, kw_only=True)
class BlockConditions:
    """Conditions that every block receives; rows are frames, those of one clip together and in the order of time."""

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


def check_inputs(config: UNetConfig, x: Tensor, c_noise: Tensor, conditioning: Conditioning) -> None:
    """Raise ValueError, which names the input and the expected shape, for inputs that do not fit a UNet.

    Conditions that the UNet does not read must be None.
    """
    if x.ndim != 5 or x.shape[2] != config.in_channels:
        raise ValueError(f"x has shape {tuple(x.shape)}, expected (b, t, {config.in_channels}, h, w)")
    b, t, _, h, w = x.shape
    _check_shape("c_noise", c_noise, (b,))
    _check_shape("context", conditioning.context, (b, None, config.context_dim))
    _check_shape("temporal_context", conditioning.temporal_tokens, (b, None, config.context_dim))
    _check_shape("vector", conditioning.vector, (b, t, config.vector_dim) if config.vector_dim else None)
    concat = (b, t, config.concat_channels, h, w) if config.concat_channels else None
    _check_shape("concat", conditioning.concat, concat)
    _check_shape("noise_index", conditioning.noise_index, (b,) if config.num_noise_indices else None)
    _check_shape("frame_mask", conditioning.frame_mask, (b, t) if config.reads_frame_mask else None)
    if conditioning.image_only is not None:
        _check_shape("image_only", conditioning.image_only, (b, t))


def joined_input(x: Float[Tensor, "b t c h w"], conditioning: Conditioning) -> Float[Tensor, "b t c_in h w"]:
    """Join latents, conditioning and frame mask on the channel axis, those that the model reads."""
    parts = [x]
    if conditioning.concat is not None:
        parts.append(conditioning.concat)
    if conditioning.frame_mask is not None:
        mask = conditioning.frame_mask.to(x.dtype)[:, :, None, None, None]
        parts.append(mask.expand(-1, -1, 1, *x.shape[3:]))
    return torch.cat(parts, dim=2) if len(parts) > 1 else x


def _check_shape(name: str, value: Tensor | None, expected: tuple[int | None, ...] | None) -> None:
    if expected is None:
        if value is not None:
            raise ValueError(f"{name} of shape {tuple(value.shape)} is given, but this model takes none")
        return
    wanted = str(expected).replace("None", "any")
    if value is None:
        raise ValueError(f"{name} is missing, this model needs one of shape {wanted}")
    fits = value.ndim == len(expected) and all(
        want in (None, size) for want, size in zip(expected, value.shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{name} has shape {tuple(value.shape)}, expected {wanted}")
