"""Shot changes found where there are none: real clips made smaller and compressed, and slow pans over hard edges.

    python benchmarks/steady_videos.py CLIP ...

Each clip, which should have no shot change, is encoded at three widths and qualities. The pans move by 1 or 2 px a
frame over random blocks of three sizes, grey, coloured and in two tones, in frames of three sizes. Prints every change.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import product
from pathlib import Path

import av
import cv2
import numpy as np
from found_transitions import find_in

from videoldm.curation.cuts.config import CutConfig

WIDTHS, QUALITIES = (320, 240, 160), (18, 23, 30)
SIZES, STEPS_PX, BLOCKS_PX = ((160, 90), (320, 180), (640, 360)), (1, 2), (8, 16, 32)
LOOKS = {"grey": 18, "colour": 33, "two tones": 33}
"""Blocks, and the quality (crf) at which they are encoded."""
NUM_FRAMES = 400


def main() -> None:
    """Encode, search, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "video.mp4"
        print_changes("clips", path, of_clips(options.clips, path))
        print_changes("pans", path, of_pans(path))


def print_changes(what: str, path: Path, written: Iterable[str]) -> None:
    """Print what is found in each video, which is in `path` as long as its name is the latest."""
    num_videos = num_changes = 0
    for name in written:
        found = find_in(path, CutConfig()).transitions
        num_videos, num_changes = num_videos + 1, num_changes + len(found)
        for one in found:
            print(f"{name}: {one.kind}, {one.score:.2f}")
    print(f"{what}: {num_changes} changes in {num_videos} videos")


def of_clips(clips: Iterable[Path], path: Path) -> Iterator[str]:
    """Write each clip at each width and quality."""
    for clip, width, quality in product(clips, WIDTHS, QUALITIES):
        with av.open(str(clip)) as container:
            stream = container.streams.video[0]
            height = width * stream.height // stream.width // 2 * 2
            frames = (frame.reformat(width, height, "yuv420p") for frame in container.decode(stream))
            encode(path, frames, (width, height), stream.average_rate or Fraction(25), quality)
        yield f"{clip.name}, {width} px wide, crf {quality}"


def of_pans(path: Path) -> Iterator[str]:
    """Write each pan."""
    for size, step, block, (look, quality) in product(SIZES, STEPS_PX, BLOCKS_PX, LOOKS.items()):
        encode(path, panned(*size, step, block, look), size, Fraction(25), quality)
        yield f"{size[0]}x{size[1]}, {step} px a frame over {look} blocks of {block} px"


def panned(width: int, height: int, step: int, block: int, look: str) -> Iterator[av.VideoFrame]:
    """Frames over which random blocks move."""
    draw = np.random.default_rng(width + step + block)
    shape = (height // block + 2, (width + step * NUM_FRAMES) // block + 2, 3 if look == "colour" else 1)
    levels = draw.integers(0, 256, shape).astype(np.uint8)
    levels = np.where(levels > 127, 200, 40).astype(np.uint8) if look == "two tones" else levels
    wide = np.broadcast_to(levels, (*shape[:2], 3)).repeat(block, axis=0).repeat(block, axis=1)
    for number in range(NUM_FRAMES):
        shown = wide[:height, number * step : number * step + width]
        yield av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24")


def encode(path: Path, frames: Iterable[av.VideoFrame], size: tuple[int, int], rate: Fraction, quality: int) -> None:
    """Write frames as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(quality), "preset": "veryfast"})
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
