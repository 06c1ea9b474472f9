"""Videos whose frames say their own number, made with PyAV alone."""

from pathlib import Path

import av
import numpy as np

_NUM_BITS = 10
_BLOCK_PX = 8
HEIGHT, WIDTH = 48, 96


def draw_number(number, height=HEIGHT, width=WIDTH):
    """A grey picture with `number` as a row of black (0) and white (1) blocks at its top."""
    picture = np.full((height, width, 3), 100, np.uint8)
    for bit in range(_NUM_BITS):
        left = bit * _BLOCK_PX
        picture[:_BLOCK_PX, left : left + _BLOCK_PX] = 255 if number >> bit & 1 else 0
    # Something that moves, so that the encoder has a reason for P and B frames.
    picture[16 + number % 16 : 32 + number % 16, 3 * number % 64 : 3 * number % 64 + 16] = (200, 60, 30)
    return picture


def read_number(picture):
    """The number drawn into `picture`, h w 3 with values 0..255."""
    centres = [bit * _BLOCK_PX + _BLOCK_PX // 2 for bit in range(_NUM_BITS)]
    return sum(int(picture[_BLOCK_PX // 2, centre].mean() > 127) << bit for bit, centre in enumerate(centres))


def encode(
    path, pictures, pts, *, time_base, rate=None, codec="libx264", pixel_format="yuv420p", rotation=None, options=None,
    container_format=None, container_options=None,
):  # fmt: skip
    """Encode `pictures` (h w 3, uint8) at `pts` ticks of `time_base` into `path`."""
    with av.open(str(path), "w", format=container_format, container_options=container_options or {}) as container:
        add_stream(
            container, pictures, pts, time_base=time_base, rate=rate, codec=codec, pixel_format=pixel_format,
            rotation=rotation, options=options,
        )  # fmt: skip
    return Path(path)


def add_stream(container, pictures, pts, *, time_base, rate, codec, pixel_format, rotation=None, options=None):
    stream = container.add_stream(codec, rate=rate or 1 / time_base)
    stream.height, stream.width = pictures[0].shape[:2]
    stream.pix_fmt, stream.options = pixel_format, options or {}
    stream.codec_context.time_base = time_base
    if rotation is not None:
        stream.set_display_rotation(rotation)
    for picture, tick in zip(pictures, pts, strict=True):
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = tick, time_base
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


VARIABLE_PTS = (0, 1, 2, 10, 11, 30, 31, 33, 36, 40, 45, 51, 58, 66, 75, 76, 77, 100)
