"""A forecast of the memory that decoding takes; torch-free."""

from __future__ import annotations

from itertools import pairwise

from videoldm.inference.config import Precision, Tiles
from videoldm.inference.decoder_sizes import Cut, MapSize, map_sizes
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder

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
    """Forecast the most memory of `device` ("cpu" or "cuda") that `decode` takes for one clip beyond the weights.

    Height and width are those of the pixels. On a CPU the finished frames count too. `map_device` is where the map of
    the clip lies, None for the same device.
    """
    finished = num_frames * config.pixel_channels * height * width if device == "cpu" else 0
    if tiles is not None:
        height, width = min(height, tiles.size_px), min(width, tiles.size_px)
    sizes = map_sizes(config, height // config.factor, width // config.factor)
    cut = Cut.of(sizes, num_frames, chunk_frames=chunk_frames, device=device)
    steps = list(pairwise(sizes))
    folded = [16 * before.channels**2 if after.height != before.height else 0 for before, after in steps]
    if isinstance(config.decoder, TemporalDecoder):
        is_map_here = map_device in (None, device)
        # Of a map that lies elsewhere the pixels in work are copied.
        stored = num_frames * cut.largest if is_map_here else cut.working
        in_work = max(
            weights + cut.frames(after) * _in_work(before, after, is_stored=is_map_here)
            for weights, (before, after) in zip(folded, steps, strict=True)
        )
    else:
        stored = 0
        in_work = sum(folded) + cut.chunk_frames * max(_in_work(*step, is_stored=False) for step in steps)
    # The last chunk of finished frames is there in two forms while the next one is computed.
    has_next = cut.chunk_frames < num_frames
    leaving = 2 * cut.chunk_frames * config.pixel_channels * height * width if has_next else 0
    return BYTES[precision] * (finished + stored + in_work + leaving)


def _in_work(before: MapSize, after: MapSize, *, is_stored: bool) -> int:
    """The most numbers that layers over space hold of one frame between two maps, stored maps not counted."""
    entering = before.channels * after.height * after.width
    is_enlarged = after.height != before.height
    # A frame is enlarged as the results of four kernels, which are then arranged.
    enlarging = (0 if is_stored else before.numbers) + 2 * entering if is_enlarged else 0
    # The block reads what enters. Its first convolution makes its result of the normalised frame, its second one of
    # what it normalised, beside that before the norm.
    held = 0 if is_stored and not is_enlarged else entering
    return max(enlarging, held + entering + after.numbers, held + 3 * after.numbers)
