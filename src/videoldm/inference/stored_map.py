"""The one map of a whole clip that decoding keeps in memory."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from videoldm.inference.decoder_blocks import PerFrame
from videoldm.inference.decoder_sizes import Chunking, MapSize
from videoldm.inference.moments import Moments, fixed_norm, moments_of
from videoldm.models.layers import SpatioTemporalResBlock


class StoredMap:
    """A layer's map of the frames of a clip, which the map of the next layer overwrites in memory.

    Its channels-last format makes both a frame, for layers over space, and a few pixels of all frames, for layers over
    time, plain views. If it is kept on another device than that of the first frames, parts of it are copied there to
    compute with them.
    """

    def __init__(self, frames: Float[Tensor, "t c h w"], cut: Chunking, device: torch.device | str) -> None:
        self.frames = frames
        self._cut = cut
        self._device = torch.device(device)
        self._work_device = frames.device

    @property
    def is_away(self) -> bool:
        """Whether the map is kept on another device than the one that computes."""
        return self._device != self._work_device

    def chunks(self) -> Iterator[Float[Tensor, "n c h w"]]:
        """Yield chunks of the frames on the device that computes."""
        return (chunk.to(self._work_device) for chunk in self.frames.split(self._cut.chunk_frames))

    def apply(self, per_frame: PerFrame, temporal: SpatioTemporalResBlock, size: MapSize) -> None:
        """Replace the map by the result of layers over space, which has the given size, and of a block over time."""
        moments = self._replace(per_frame, size)
        self._add_temporal(temporal, moments, chunk_pixels=self._cut.pixels(size))

    def _replace(self, per_frame: PerFrame, size: MapSize) -> list[Moments]:
        """Replace each frame by its result, and return the moments of the new map."""
        chunk_frames = self._cut.frames(size)
        starts = range(0, len(self.frames), chunk_frames)
        moments: list[Moments] = []
        result = self._view(size)
        # Both maps begin at the same address. Growing frames are written from the last on, shrinking ones from the
        # first on, so that none overwrites one that is still to be read.
        for start in reversed(starts) if size.numbers >= self.frames[0].numel() else starts:
            chunk = slice(start, start + chunk_frames)
            moments.append(_written(per_frame(self.frames[chunk].to(self._work_device)), result[chunk]))
        self.frames = result
        return moments

    def _add_temporal(self, layer: SpatioTemporalResBlock, moments: list[Moments], *, chunk_pixels: int) -> None:
        """Merge the map, whose moments are given, with the result of the block over time.

        The block's hidden layer is computed twice, for its moments and for its use, as it would be a second map.
        """
        assert layer.temporal is not None
        assert layer.merge is not None
        block, share = layer.temporal, 1 - layer.merge.spatial_share().item()
        norm1 = fixed_norm(block.norm1, moments)

        def hidden(pixels: Tensor) -> Tensor:
            return block.conv1(F.silu(norm1(pixels), inplace=True))

        clip = self.frames.view(*self.frames.shape[:2], -1).movedim(0, 1).unsqueeze(0)
        parts = clip.split(chunk_pixels, dim=3)
        norm2 = fixed_norm(block.norm2, [moments_of(hidden(self._arrived(pixels))) for pixels in parts])
        # The block's skip connection leaves the map as it is: the merge is the map plus a share of the change.
        for pixels in parts:
            changed = self._arrived(pixels)
            changed.add_(block.conv2(F.silu(norm2(hidden(changed)), inplace=True)), alpha=share)
            if self.is_away:
                _copy_frames(changed, pixels)

    def _arrived(self, pixels: Float[Tensor, "1 c t s"]) -> Float[Tensor, "1 c t s"]:
        """Return pixels of the map on the device that computes."""
        if not self.is_away:
            return pixels
        _, channels, num_frames, num_pixels = pixels.shape
        there = pixels.new_empty(1, num_frames, num_pixels, channels, device=self._work_device).permute(0, 3, 1, 2)
        _copy_frames(pixels, there)
        return there

    @cached_property
    def _memory(self) -> Float[Tensor, " numbers"]:
        is_pinned = self._work_device.type == "cuda" and self._device.type == "cpu"  # pinned memory is copied faster
        return self.frames.new_empty(
            self._cut.num_frames * self._cut.largest, device=self._device, pin_memory=is_pinned
        )

    def _view(self, size: MapSize) -> Float[Tensor, "t c h w"]:
        memory = self._memory[: len(self.frames) * size.numbers]
        return memory.view(-1, size.height, size.width, size.channels).permute(0, 3, 1, 2)


def _copy_frames(source: Float[Tensor, "1 c t s"], target: Float[Tensor, "1 c t s"]) -> None:
    """Copy channels-last pixels frame by frame, as only those of one frame are contiguous."""
    for of_frame, place in zip(source.unbind(2), target.unbind(2), strict=True):
        place.mT.copy_(of_frame.mT, non_blocking=True)


def _written(frames: Tensor, place: Tensor) -> Moments:
    # A function of its own, so that the chunk is freed before the next one is computed.
    place.copy_(frames)
    return moments_of(frames)
