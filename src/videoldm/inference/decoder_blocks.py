"""The decoder in blocks: layers that see one frame at a time, up to the next layer that sees the whole clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from videoldm.inference.moments import normalise_each
from videoldm.models.autoencoder.coders import Decoder, DecoderLevel, DecoderMiddle, PixelAttention
from videoldm.models.layers import ResBlock, SpatioTemporalResBlock, Upsample

PerFrame = Callable[[Tensor], Tensor]
"""A function from frames `n c h w` to as many frames, each of which depends on its own frame only."""


@dataclass(frozen=True)
class DecoderBlock:
    """Layers over space, then a residual block over time, which the last block lacks."""

    per_frame: PerFrame
    temporal: SpatioTemporalResBlock | None


def decoder_blocks(decoder: Decoder) -> Iterator[DecoderBlock]:
    """Divide a decoder, without its last temporal convolution, into blocks; a plain decoder is one block.

    Blocks are made one after another, as some have weights of their own.
    """
    pending: list[PerFrame] = []
    for layer in _layers(decoder):
        if not isinstance(layer, SpatioTemporalResBlock):
            pending.append(layer)
            continue
        pending.append(partial(residual, layer.spatial))
        if layer.temporal is not None:
            yield DecoderBlock(_chain(pending), layer)
            pending = []
    yield DecoderBlock(_chain(pending), None)


def residual(block: ResBlock, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c_out h w"]:
    """Apply a residual block over space."""
    hidden = block.conv1(F.silu(normalise_each(block.norm1, frames), inplace=True))
    hidden = block.conv2(F.silu(normalise_each(block.norm2, hidden), inplace=True))
    return hidden.add_(block.shortcut(frames))


def attend_each(attention: PixelAttention, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Attend within one frame after another, as attention takes many times the memory of a frame."""
    # The group norm inside is accurate only for frames in contiguous format, see `normalise_each`.
    return torch.cat([attention(frame.contiguous()) for frame in frames.split(1)])


class FoldedUpsample:
    """Nearest-neighbour enlargement by 2 and the 3 x 3 convolution after it, with 4/9 of the multiplications.

    The nine enlarged pixels below a kernel have four different values. Which of its weights share a value depends on
    whether row and column are even or odd, so that sums of weights make four 2 x 2 kernels over the small picture.
    """

    def __init__(self, upsample: Upsample) -> None:
        conv = upsample.conv
        assert conv.bias is not None
        kernel = conv.weight.to(torch.promote_types(conv.weight.dtype, torch.float32))
        kernels = [columns for rows in _folded(kernel, dim=2) for columns in _folded(rows, dim=3)]
        self._weight = torch.cat(kernels).to(conv.weight.dtype).contiguous(memory_format=torch.channels_last)
        self._bias = conv.bias.repeat(4)

    def __call__(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c 2*h 2*w"]:
        """Enlarge frames."""
        num_frames, channels, height, width = frames.shape
        # Row i of the result comes from rows i - 1 and i of the frames: even rows are found at i, odd ones at i + 1.
        kernels = F.conv2d(frames, self._weight, self._bias, padding=1).split(channels, dim=1)
        enlarged = frames.new_empty(num_frames, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
        for index, pixels in enumerate(kernels):
            row, column = divmod(index, 2)
            enlarged[:, :, row::2, column::2] = pixels[:, :, row : row + height, column : column + width]
        return enlarged


def _folded(kernel: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Add the weights along `dim` that share a small pixel, for even and for odd positions."""
    before, centre, after = kernel.unbind(dim)
    return torch.stack((before, centre + after), dim), torch.stack((before + centre, after), dim)


def _layers(decoder: Decoder) -> Iterator[PerFrame | SpatioTemporalResBlock]:
    middle: DecoderMiddle = decoder.middle
    yield from (decoder.projection, decoder.conv_in)
    yield from (middle.block1, partial(attend_each, middle.attention), middle.block2)
    for level in decoder.up:
        assert isinstance(level, DecoderLevel)
        yield from level.blocks
        if level.upsample is not None:
            yield FoldedUpsample(level.upsample)
    yield from (partial(normalise_each, decoder.norm_out), partial(F.silu, inplace=True), decoder.conv_out)


def _chain(layers: Sequence[PerFrame]) -> PerFrame:
    def apply(frames: Tensor) -> Tensor:
        for layer in layers:
            frames = layer(frames)
        return frames

    return apply
