"""Animated WebP as a video, which PyAV's FFmpeg cannot decode: Pillow reads it, and a lossless copy is decoded instead.

The copy is in memory, FFV1 in Matroska, whose times count milliseconds like those of WebP.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av import VideoFrame
from av.video.stream import VideoStream

from videoldm.core.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture  # loaded by a run on animated WebP alone, as it takes a while

_MILLISECOND = Fraction(1, 1000)
_IS_ANIMATED = 2


def is_animated_webp(path: Path) -> bool:
    """Whether a file says that it is an animated WebP: in the flags of its extended header."""
    with path.open("rb") as file:
        start = file.read(21)
    return start[:4] == b"RIFF" and start[8:16] == b"WEBPVP8X" and len(start) == 21 and bool(start[20] & _IS_ANIMATED)


def as_matroska(path: Path) -> io.BytesIO:
    """Return the animation as a file of Matroska; raises InputError if it is broken."""
    status = path.stat()
    return io.BytesIO(_converted(path, status.st_size, status.st_mtime_ns))


@lru_cache(maxsize=1)
def _converted(path: Path, size: int, mtime_ns: int) -> bytes:
    del size, mtime_ns  # a file that has changed is another one
    from PIL import Image

    buffer = io.BytesIO()
    try:
        with Image.open(path, formats=["WEBP"]) as image, av.open(buffer, "w", format="matroska") as container:
            durations = _durations(path)
            stream = container.add_stream("ffv1", rate=Fraction(1000 * len(durations), max(1, sum(durations))))
            assert isinstance(stream, VideoStream)
            stream.width, stream.height, stream.pix_fmt = *image.size, "bgr0"
            stream.codec_context.time_base = stream.time_base = _MILLISECOND
            for frame in _frames(image, durations):
                for packet in stream.encode(frame):
                    packet.duration = frame.duration
                    container.mux(packet)
            container.mux(stream.encode(None))
    except (OSError, EOFError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: is a broken or cut-off WebP") from error
    return buffer.getvalue()


def _durations(path: Path) -> list[int]:
    """Return how long each frame is shown in milliseconds, at least 1, by the file's chunks."""
    durations: list[int] = []
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            size = int.from_bytes(head[4:], "little")
            size += size % 2
            if head[:4] == b"ANMF":
                durations.append(max(1, int.from_bytes(file.read(15)[12:], "little")))
                size -= 15
            file.seek(size, os.SEEK_CUR)
    return durations


def _frames(image: Picture, durations: Sequence[int]) -> Iterator[VideoFrame]:
    """Yield the frames on black, each with its time and duration."""
    from PIL import Image

    time = 0
    for number, duration in enumerate(durations):
        image.seek(number)
        pixels = image.convert("RGBA")
        opaque = Image.alpha_composite(Image.new("RGBA", pixels.size, (0, 0, 0, 255)), pixels).convert("RGB")
        frame = VideoFrame.from_ndarray(np.asarray(opaque), format="rgb24").reformat(format="bgr0")
        frame.pts, frame.time_base, frame.duration = time, _MILLISECOND, duration
        time += duration
        yield frame
