"""Conversion between 8-bit samples and pixels in [-1, 1], and antialiased resizing."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from videoldm.core.errors import InputError


def from_uint8(samples: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Convert samples 0..255 to float32 pixels in [-1, 1]; `to_uint8` returns the same samples."""
    return samples.to(torch.float32) / 127.5 - 1.0


def to_uint8(pixels: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Round pixels in [-1, 1] to samples 0..255; values outside are clamped."""
    return ((pixels.to(torch.float32).clamp(-1.0, 1.0) + 1.0) * 127.5).round().to(torch.uint8)


Interpolation = Literal["bicubic", "bilinear"]


def resize(
    pixels: Float[Tensor, "*batch c h w"], height: int, width: int, *, interpolation: Interpolation = "bicubic"
) -> Float[Tensor, "*batch c height width"]:
    """Resize `pixels` to `height` x `width`, low-pass filtered where they shrink; any leading axes.

    Bicubic can overshoot the input's range slightly at sharp edges: clamp where that matters. Returns the same tensor
    if it has that size already. 16-bit floats are resized in float32. Raises InputError for sizes below 1.
    """
    if height < 1 or width < 1:
        raise InputError(f"size is {height}x{width}, height and width should be at least 1")
    *batch, channels, old_height, old_width = pixels.shape
    if (old_height, old_width) == (height, width):
        return pixels
    is_narrow = pixels.dtype in (torch.float16, torch.bfloat16)
    flat = pixels.reshape(-1, channels, old_height, old_width)
    resized = functional.interpolate(
        flat.float() if is_narrow else flat,
        size=(height, width),
        mode=interpolation,
        align_corners=False,
        antialias=True,
    )
    return resized.to(pixels.dtype).reshape(*batch, channels, height, width)
