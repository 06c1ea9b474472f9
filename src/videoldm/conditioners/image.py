"""A picture as a condition; fills `Conditioning.context`."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from transformers import CLIPVisionModelWithProjection

from videoldm.models.clip.config import CLIP_MEAN, CLIP_STD


class ImageConditioner:
    """Encodes pictures as the projected class token of a CLIP image model: one token, not normalised.

    It gets the clean picture, never the noised one of the autoencoder. Gradients reach the model unless the caller
    disables them. SVD, D.4.
    """

    def __init__(self, model: CLIPVisionModelWithProjection) -> None:
        self.model = model

    @property
    def context_dim(self) -> int:
        """Width of the context."""
        return self.model.config.projection_dim

    def __call__(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 d"]:
        """Encode pixels in [-1, 1] of any size."""
        size = self.model.config.image_size
        assert isinstance(size, int), "CLIP's pictures are square"
        prepared = clip_pixels(pixels.to(self.model.device), size, size)
        return self.model(pixel_values=prepared.to(self.model.dtype)).image_embeds[:, None]


def clip_pixels(pixels: Float[Tensor, "b 3 h w"], height: int, width: int) -> Float[Tensor, "b 3 height width"]:
    """Prepare pixels in [-1, 1] for SVD's CLIP: stretch the whole picture, then apply CLIP's mean and deviation.

    The bicubic overshoot is not clamped. Computed in fp32.
    """
    resized = resize_antialiased(pixels.float(), height, width)
    mean = torch.tensor(CLIP_MEAN, device=pixels.device)[:, None, None]
    std = torch.tensor(CLIP_STD, device=pixels.device)[:, None, None]
    return ((resized + 1) / 2 - mean) / std


def resize_antialiased(pixels: Float[Tensor, "b c h w"], height: int, width: int) -> Float[Tensor, "b c height width"]:
    """Blur along each axis that shrinks, then resize bicubically with aligned corners (kornia's antialiased resize)."""
    blurred = _blur(_blur(pixels, axis=-2, factor=pixels.shape[-2] / height), axis=-1, factor=pixels.shape[-1] / width)
    return F.interpolate(blurred, size=(height, width), mode="bicubic", align_corners=True)


def _blur(pixels: Float[Tensor, "b c h w"], *, axis: int, factor: float) -> Float[Tensor, "b c h w"]:
    """Apply the Gaussian blur that shrinking by `factor` needs along one axis, reflected at the borders."""
    if factor <= 1:
        return pixels  # at the smallest deviation, 0.001 px, only the middle weight is left
    deviation_px = max((factor - 1) / 2, 0.001)
    radius_px = max(int(4 * deviation_px), 3) // 2
    offsets = torch.arange(-radius_px, radius_px + 1, device=pixels.device, dtype=pixels.dtype)
    weights = torch.exp(-(offsets**2) / (2 * deviation_px**2))
    weights = weights / weights.sum()
    is_vertical = axis == -2
    padding = (0, 0, radius_px, radius_px) if is_vertical else (radius_px, radius_px, 0, 0)
    kernel = weights[:, None] if is_vertical else weights[None, :]
    num_channels = pixels.shape[1]
    padded = F.pad(pixels, padding, mode="reflect")
    return F.conv2d(padded, kernel.expand(num_channels, 1, *kernel.shape), groups=num_channels)
