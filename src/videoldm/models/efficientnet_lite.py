"""EfficientNet-Lite0 as far as its eleventh block, whose features tell how a photograph looks.

Tan and Le 2019, "EfficientNet" (arXiv 1905.11946); Lite0 is its form without swish and squeeze-and-excitation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

SIDE_PX = 224
"""Sides of the pictures that it was trained on."""
_STEM_CHANNELS = 32
_NORM_EPS = 1e-3


class _Stage(NamedTuple):
    num_blocks: int
    kernel_px: int
    stride: int
    expansion: int
    num_channels: int


_STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
)
_LAST_BLOCK = 10
_READ_BLOCKS = (2, 4, 7, _LAST_BLOCK)
_READ_CHANNELS = (24, 40, 80, 112)
NUM_FEATURES = 2 * sum(_READ_CHANNELS)
"""Mean and standard deviation of each channel of the blocks that are read."""


class _Layer(nn.Module):
    """A convolution with the norm behind it folded in, padded as TensorFlow does: more below and on the right."""

    def __init__(self, inside: int, outside: int, kernel_px: int = 1, stride: int = 1, *, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, kernel_px, stride, groups=groups)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        (kernel_px, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        needed = [max(0, (-(-side // stride) - 1) * stride + kernel_px - side) for side in (x.shape[3], x.shape[2])]
        return self.conv(functional.pad(x, [part for one in needed for part in (one // 2, one - one // 2)]))


class _Block(nn.Module):
    """An inverted residual block: channels are expanded, filtered one by one, and projected."""

    def __init__(self, inside: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        width = inside * stage.expansion
        self.expand = _Layer(inside, width) if stage.expansion > 1 else None
        self.depthwise = _Layer(width, width, stage.kernel_px, stride, groups=width)
        self.project = _Layer(width, stage.num_channels)
        self.is_residual = stride == 1 and inside == stage.num_channels

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d y x"]:
        expanded = x if self.expand is None else functional.relu6(self.expand(x))
        found = self.project(functional.relu6(self.depthwise(expanded)))
        return x + found if self.is_residual else found


class EfficientNetLite0(nn.Module):
    """The first part of the network, and means and deviations over the picture of what its blocks find."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _Layer(3, _STEM_CHANNELS, 3, 2)
        blocks: list[_Block] = []
        channels = _STEM_CHANNELS
        for stage in _STAGES:
            for number in range(stage.num_blocks):
                blocks.append(_Block(channels, stage, stage.stride if number == 0 else 1))
                channels = stage.num_channels
        self.blocks = nn.ModuleList(blocks[: _LAST_BLOCK + 1])

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b c y x"]]:
        """Return what the blocks that are read find in RGB pixels in [-1, 1]."""
        x, found = functional.relu6(self.stem(pixels)), list[Tensor]()
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in _READ_BLOCKS:
                found.append(x)
        return found

    def features(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Return `NUM_FEATURES` features of each picture."""
        found = self(pixels)
        return torch.cat([part for x in found for part in (x.mean((2, 3)), x.std((2, 3), correction=0))], dim=1)


def load_efficientnet_lite0(tensors: Mapping[str, Tensor]) -> EfficientNetLite0:
    """Return the network with weights in the layout of `efficientnet-lite-pytorch`; later layers are left out."""
    network = EfficientNetLite0()
    with torch.no_grad():
        _fold(network.stem, tensors, "_conv_stem", "_bn0")
        for number, block in enumerate(network.blocks):
            assert isinstance(block, _Block)
            prefix = f"_blocks.{number}."
            if block.expand is not None:
                _fold(block.expand, tensors, f"{prefix}_expand_conv", f"{prefix}_bn0")
            _fold(block.depthwise, tensors, f"{prefix}_depthwise_conv", f"{prefix}_bn1")
            _fold(block.project, tensors, f"{prefix}_project_conv", f"{prefix}_bn2")
    return network.requires_grad_(False).eval()


def as_input(picture: UInt8[Tensor, "b h w 3"]) -> Float[Tensor, "b 3 h w"]:
    """Return pictures of 0..255 as the network reads them."""
    return (picture.permute(0, 3, 1, 2).float() - 127.0) / 128.0


def _fold(layer: _Layer, tensors: Mapping[str, Tensor], conv: str, norm: str) -> None:
    """Give a layer the weights of a convolution, times what its norm does with the means of training."""
    gain = tensors[f"{norm}.weight"] * torch.rsqrt(tensors[f"{norm}.running_var"] + _NORM_EPS)
    assert layer.conv.bias is not None
    layer.conv.weight.copy_(tensors[f"{conv}.weight"] * gain[:, None, None, None])
    layer.conv.bias.copy_(tensors[f"{norm}.bias"] - tensors[f"{norm}.running_mean"] * gain)
