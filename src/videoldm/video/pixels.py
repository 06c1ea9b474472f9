"""Between 8-bit samples and pixels in [-1, 1]."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def from_uint8(samples: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Samples 0..255 as float32 pixels in [-1, 1]; `to_uint8` gives the same samples back."""
    return samples.to(torch.float32) / 127.5 - 1.0


def to_uint8(pixels: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Pixels in [-1, 1] as the nearest samples 0..255; what lies outside is clamped."""
    return ((pixels.to(torch.float32).clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)
