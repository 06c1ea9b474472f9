"""Sizes of the decoder's maps, how much is computed at a time, and the memory that decoding takes; torch-free."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from videoldm.inference.config import Precision, Tiles
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.chunks import numbers_at_once


@dataclass(frozen=True)
class MapSize:
    """Size of one frame of a layer's map."""

    channels: int
    height: int
    width: int

    @property
    def numbers(self) -> int:
        """Number of values in a frame."""
        return self.channels * self.height * self.width


def map_sizes(config: AutoencoderConfig, height: int, width: int) -> list[MapSize]:
    """Return the size of each residual block's map, in the order of the decoder, for latents of the given size."""
    sizes = [MapSize(config.channels[-1], height, width)] * 2
    for level, channels in enumerate(reversed(config.channels)):
        sizes += [MapSize(channels, height * 2**level, width * 2**level)] * (config.num_res_blocks + 1)
    return sizes


@dataclass(frozen=True)
class Chunking:
    """How much of a clip is computed at a time."""

    num_frames: int
    largest: int
    """Values in a frame of the largest map."""
    chunk_frames: int
    """Frames at a time in layers over space; of smaller maps as many as have `working` values."""
    working: int
    """Values at a time in layers over time."""

    @classmethod
    def of(cls, sizes: list[MapSize], num_frames: int, *, chunk_frames: int | None, device: str) -> Chunking:
        """Divide into the given chunks, or for None into those that suit the kind of device."""
        largest = max(size.numbers for size in sizes)
        working = numbers_at_once(device)
        chunk_frames = min(num_frames, chunk_frames or max(1, working // largest))
        return cls(num_frames, largest, chunk_frames, min(working, chunk_frames * largest))

    def frames(self, size: MapSize) -> int:
        """Return the number of frames of a map of the given size to compute at a time."""
        return min(self.num_frames, max(self.chunk_frames, self.working // size.numbers))

    def pixels(self, size: MapSize) -> int:
        """Return the number of pixels of a map of the given size to compute at a time, in all frames."""
        return max(1, self.working // (self.num_frames * size.channels))


BYTES: dict[Precision, int] = {"float32": 4, "float16": 2, "bfloat16": 2}


def decode_peak_bytes(
    config: AutoencoderConfig,
    *,
    num_frames: int,
    height: int,
    width: int,
    precision: Precision,
    chunk_frames: int | None = None,
    tiles: Tiles | None = None,
    device: str = "cpu",
    map_device: str | None = None,
) -> int:
    """Forecast the peak memory of `device` ("cpu" or "cuda") that `decode` takes for one clip beyond the weights.

    Height and width are in pixels. On a CPU the finished frames count too. `map_device` is where the stored map of the
    clip lies, None for the same device.
    """
    finished = num_frames * config.pixel_channels * height * width if device == "cpu" else 0
    if tiles is not None:
        height, width = min(height, tiles.size_px), min(width, tiles.size_px)
    sizes = map_sizes(config, height // config.factor, width // config.factor)
    cut = Chunking.of(sizes, num_frames, chunk_frames=chunk_frames, device=device)
    steps = list(pairwise(sizes))
    folded = [16 * before.channels**2 if after.height != before.height else 0 for before, after in steps]
    if isinstance(config.decoder, TemporalDecoder):
        is_map_here = map_device in (None, device)
        # Of a map that lies elsewhere the pixels that are computed are copied here.
        stored = num_frames * cut.largest if is_map_here else cut.working
        in_work = max(
            weights + cut.frames(after) * _in_work(before, after, is_stored=is_map_here)
            for weights, (before, after) in zip(folded, steps, strict=True)
        )
    else:
        stored = 0
        in_work = sum(folded) + cut.chunk_frames * max(_in_work(*step, is_stored=False) for step in steps)
    # The last chunk of finished frames exists in two forms while the next one is computed.
    has_next = cut.chunk_frames < num_frames
    leaving = 2 * cut.chunk_frames * config.pixel_channels * height * width if has_next else 0
    return BYTES[precision] * (finished + stored + in_work + leaving)


def _in_work(before: MapSize, after: MapSize, *, is_stored: bool) -> int:
    """Return the most values that layers over space hold of one frame between two maps, without stored maps."""
    entering = before.channels * after.height * after.width
    is_enlarged = after.height != before.height
    # A frame is enlarged as the results of four kernels, which are then arranged.
    enlarging = (0 if is_stored else before.numbers) + 2 * entering if is_enlarged else 0
    # The block reads what enters. Its first convolution computes its result from the normalised frame; its second one
    # from a normalised copy of that result.
    held = 0 if is_stored and not is_enlarged else entering
    return max(enlarging, held + entering + after.numbers, held + 3 * after.numbers)
