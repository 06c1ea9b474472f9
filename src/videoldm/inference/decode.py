"""Decoding in bounded memory, with a result that does not depend on how the work is divided."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from videoldm.core.errors import InputError
from videoldm.inference.config import Tiles
from videoldm.inference.decoder_blocks import decoder_blocks
from videoldm.inference.decoder_sizes import Chunking, map_sizes
from videoldm.inference.stored_map import StoredMap
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.layers import TemporalConv, clips_to_frames, frames_to_clips


@torch.no_grad()
def decode(
    autoencoder: Autoencoder,
    latents: Float[Tensor, "b t z h w"],
    *,
    chunk_frames: int | None = None,
    tiles: Tiles | None = None,
    map_device: torch.device | str | None = None,
    device: torch.device | str = "cpu",
) -> Float[Tensor, "b t c hf wf"]:
    """Decode raw latents as `Autoencoder.decode` does, but clip by clip and layer by layer in bounded memory.

    Every layer processes the whole clip before the next one starts: layers over space in chunks of frames, layers over
    time in chunks of pixels, so that no chunk has a border where the clip has none. Statistics of group norms are
    computed over the clip before they are used. The result therefore does not depend on `chunk_frames`, the number of
    frames of full size that are computed at a time; None suits it to the device. Beside the chunk one map of the clip
    is kept, on `map_device`, by default the device of the latents.

    `tiles` bound memory further and are NOT exact (see `Tiles`). Finished frames go to `device`. Raises InputError if
    `chunk_frames` is less than 1 or the tiles are not whole latents.
    """
    if chunk_frames is not None and chunk_frames < 1:
        raise InputError(f"chunk_frames is {chunk_frames}, it should be at least 1")
    batch, num_frames, _, height, width = latents.shape
    factor = autoencoder.config.factor
    size = (autoencoder.config.pixel_channels, height * factor, width * factor)
    pixels = torch.zeros(batch, num_frames, *size, dtype=latents.dtype, device=device)
    rows, columns = spans(tiles, height, factor=factor), spans(tiles, width, factor=factor)
    for (clip, target), row, column in product(zip(latents, pixels, strict=True), rows, columns):
        frames = _frames(autoencoder, clip[:, :, row.latents, column.latents], chunk_frames, map_device or clip.device)
        share = (row.share[:, None] * column.share).to(latents.device)
        for frame, place in zip(frames, target[:, :, row.pixels, column.pixels], strict=True):
            place.add_((frame * share).to(place))
    return pixels


def _frames(
    autoencoder: Autoencoder,
    latents: Float[Tensor, "t z h w"],
    chunk_frames: int | None,
    map_device: torch.device | str,
) -> Iterator[Float[Tensor, "c hf wf"]]:
    """Yield the decoded frames of one clip in their order."""
    config, decoder = autoencoder.config, autoencoder.decoder
    sizes = map_sizes(config, *latents.shape[2:])
    cut = Chunking.of(sizes, len(latents), chunk_frames=chunk_frames, device=latents.device.type)
    stored = StoredMap(latents.contiguous(memory_format=torch.channels_last), cut, map_device)
    sizes_left = iter(sizes)
    for block in decoder_blocks(decoder):
        if block.temporal is not None:
            stored.apply(block.per_frame, block.temporal, next(sizes_left))
            continue
        patches = map(block.per_frame, stored.chunks())
        if decoder.temporal_conv_out is not None:
            patches = _convolved(decoder.temporal_conv_out, patches)
        for chunk in patches:
            yield from F.pixel_shuffle(chunk, config.patch_size)


def _convolved(conv: TemporalConv, chunks: Iterator[Float[Tensor, "n c h w"]]) -> Iterator[Float[Tensor, "n c h w"]]:
    """Convolve the frames of a clip over time; yield each as soon as the chunks with the frames after it are there."""
    halo = conv.weight.shape[2] // 2
    first = next(chunks)
    edge = first.new_zeros(halo, *first.shape[1:])
    window = edge
    for chunk in chain((first,), chunks, (edge,)):
        window = torch.cat((window, chunk))
        if len(window) > 2 * halo:
            convolved = conv(frames_to_clips(window, len(window)))[:, :, halo : len(window) - halo]
            yield clips_to_frames(convolved, first.shape[2])
            window = window[len(window) - 2 * halo :]


@dataclass(frozen=True)
class Span:
    """One tile along one axis: its range in latents and in pixels, and its share in each of its pixels."""

    latents: slice
    pixels: slice
    share: Float[Tensor, " px"]


def spans(tiles: Tiles | None, num_latents: int, *, factor: int) -> list[Span]:
    """Divide an axis of `num_latents`, each of which becomes `factor` pixels, into tiles; None is one tile for all.

    Shares add up to 1 in every pixel. Raises InputError if the tiles are not whole latents.
    """
    if tiles is None:
        return [Span(slice(0, num_latents), slice(0, num_latents * factor), torch.ones(num_latents * factor))]
    for name, length in (("size_px", tiles.size_px), ("overlap_px", tiles.overlap_px)):
        if length % factor:
            raise InputError(f"{name} of the tiles is {length}, it should be a multiple of {factor}")
    size, overlap = min(tiles.size_px // factor, num_latents), tiles.overlap_px // factor
    last, stride = num_latents - size, (tiles.size_px - tiles.overlap_px) // factor
    starts = [min(start, last) for start in range(0, max(1, num_latents - overlap), stride)]
    shares = torch.zeros(len(starts), num_latents * factor)
    slices = [slice(start * factor, (start + size) * factor) for start in starts]
    for row, pixels in zip(shares, slices, strict=True):
        row[pixels] = _ramps(size * factor, tiles.overlap_px)
    shares /= shares.sum(0)
    return [
        Span(slice(start, start + size), pixels, row[pixels])
        for start, pixels, row in zip(starts, slices, shares, strict=True)
    ]


def _ramps(length: int, overlap: int) -> Float[Tensor, " length"]:
    """Return weights that rise over the overlap with the tile before and fall over that with the tile after."""
    from_border = torch.arange(length) + 0.5
    return torch.minimum(from_border, from_border.flip(0)).clamp(max=max(overlap, 1))
