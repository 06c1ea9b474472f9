"""Overlapping tiles of a picture, and the shares with which they are blended."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.inference.config import Tiles


@dataclass(frozen=True)
class Span:
    """One tile along one axis: where it lies in the latents and in the pixels, and its share in each of its pixels."""

    latents: slice
    pixels: slice
    share: Float[Tensor, " px"]


def spans(tiles: Tiles | None, num_latents: int, *, factor: int) -> list[Span]:
    """The tiles along an axis of `num_latents`, each of which becomes `factor` pixels; None is one tile for all.

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
    """Weights that rise over the overlap with the tile before and fall over that with the tile after."""
    from_border = torch.arange(length) + 0.5
    return torch.minimum(from_border, from_border.flip(0)).clamp(max=max(overlap, 1))
