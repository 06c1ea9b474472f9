"""Sizes of the decoder's maps, and how much of them is in work at a time."""

from __future__ import annotations

from dataclasses import dataclass

from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.layers.chunks import numbers_at_once


@dataclass(frozen=True)
class MapSize:
    """One frame of a layer's map."""

    channels: int
    height: int
    width: int

    @property
    def numbers(self) -> int:
        """How many numbers a frame has."""
        return self.channels * self.height * self.width


def map_sizes(config: AutoencoderConfig, height: int, width: int) -> list[MapSize]:
    """What each residual block of the decoder makes of a frame of latents of the given size, in their order."""
    sizes = [MapSize(config.channels[-1], height, width)] * 2
    for level, channels in enumerate(reversed(config.channels)):
        sizes += [MapSize(channels, height * 2**level, width * 2**level)] * (config.num_res_blocks + 1)
    return sizes


@dataclass(frozen=True)
class Cut:
    """How much of a clip is in work at a time."""

    num_frames: int
    largest: int
    """Numbers of a frame of the largest map."""
    chunk_frames: int
    """Frames at a time in layers over space; of smaller maps more, as many as have `working` numbers."""
    working: int
    """Numbers at a time in layers over time."""

    @classmethod
    def of(cls, sizes: list[MapSize], num_frames: int, *, chunk_frames: int | None, device: str) -> Cut:
        """The cut into the given chunks, or for None into those that suit the kind of device."""
        largest = max(size.numbers for size in sizes)
        working = numbers_at_once(device)
        chunk_frames = min(num_frames, chunk_frames or max(1, working // largest))
        return cls(num_frames, largest, chunk_frames, min(working, chunk_frames * largest))

    def frames(self, size: MapSize) -> int:
        """Frames at a time of a map of the given size."""
        return min(self.num_frames, max(self.chunk_frames, self.working // size.numbers))

    def pixels(self, size: MapSize) -> int:
        """Pixels at a time, in all frames, of a map of the given size."""
        return max(1, self.working // (self.num_frames * size.channels))
