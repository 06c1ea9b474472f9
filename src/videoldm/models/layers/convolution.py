"""Convolutions over space and over time."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F


class SpatialConv(nn.Conv2d):
    """A 3 x 3 convolution of each frame that keeps its size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)


class TemporalConv(nn.Module):
    """A convolution over the frames of each pixel, with zeros beyond the ends of the clip.

    The weight has the shape of a 3-D convolution, `o i kernel 1 1`; the input is `b c t (h w)`, for which a 2-D
    convolution does the same and is faster.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, 1, 1))
        self.bias = nn.Parameter(torch.empty(out_channels))
        bound = 1 / math.sqrt(in_channels * kernel)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def reset_to_identity(self) -> None:
        """Make the convolution pass its input on (same number of channels in and out)."""
        nn.init.dirac_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, clips: Float[Tensor, "b c t s"]) -> Float[Tensor, "b c_out t s"]:
        """Convolve along `t`."""
        padding = (self.weight.shape[2] // 2, 0)
        return F.conv2d(clips, self.weight.squeeze(-1), self.bias, padding=padding)


class Downsample(nn.Module):
    """Halve height and width with a strided convolution; `padding` is (before, after) on both axes of space.

    An odd size is rounded up with padding (1, 1), as in the UNet, and down with (0, 1), as in the encoder.
    """

    def __init__(self, channels: int, *, padding: tuple[int, int]) -> None:
        super().__init__()
        before, after = padding
        self.more_after = after - before
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=before)

    def forward(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Shrink frames."""
        if self.more_after:
            frames = F.pad(frames, (0, self.more_after, 0, self.more_after))
        return self.conv(frames)


class Upsample(nn.Module):
    """Enlarge to a given size with nearest-neighbour interpolation and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = SpatialConv(channels, channels)

    def forward(self, frames: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
        """Enlarge frames to `size` (height, width)."""
        return self.conv(F.interpolate(frames, size=size, mode="nearest"))
