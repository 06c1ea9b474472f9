"""Videos whose motion is known exactly: an analytic texture looked up at moved positions."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

Move = Callable[[float, Tensor, Tensor], tuple[Tensor, Tensor]]


def _texture(x: Tensor, y: Tensor, channel: int) -> Tensor:
    """A sum of 24 plane waves with wavelengths from 6 to 30 pixels, in about [-1, 1]."""
    generator = torch.Generator().manual_seed(channel)
    wavelength = 6 + 24 * torch.rand(24, generator=generator)
    heading = 2 * math.pi * torch.rand(24, generator=generator)
    phase = 2 * math.pi * torch.rand(24, generator=generator)
    total = torch.zeros_like(x)
    for length, angle, shift in zip(wavelength.tolist(), heading.tolist(), phase.tolist(), strict=True):
        total += torch.sin(2 * math.pi / length * (math.cos(angle) * x + math.sin(angle) * y) + shift)
    return (total / 6).clamp(-1, 1)


@pytest.fixture
def moving_texture() -> Callable[..., Tensor]:
    """`make(source, ...)`: frame i shows at (x, y), counted from the frame's centre, the texture at source(i, x, y)."""

    def make(source: Move, *, num_frames: int = 4, height: int = 64, width: int = 64) -> Tensor:
        y, x = torch.meshgrid(
            torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
        )
        frames = [torch.stack([_texture(*source(i, x, y), channel) for channel in range(3)]) for i in range(num_frames)]
        return torch.stack(frames)

    return make
