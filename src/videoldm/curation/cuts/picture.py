"""A tiny picture of each frame, taken from its planes without converting the frame."""

from __future__ import annotations

import functools

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from jaxtyping import UInt8

from videoldm.video.colour import is_full_range
from videoldm.video.planes import plane_samples

LUMA = (18, 32)
"""Rows and columns of the tiny picture's luma."""
CHROMA = (9, 16)
# Points at which a plane is read for each cell of the tiny picture, across and down: enough to even out noise and fine
# texture, and the cost no longer grows with the size of the frame.
_LUMA_POINTS, _CHROMA_POINTS = 2, 1

Plane = UInt8[np.ndarray, "h w"]
Tiny = tuple[UInt8[np.ndarray, "h w"], UInt8[np.ndarray, "y x"], UInt8[np.ndarray, "y x"]]
Levels = UInt8[np.ndarray, " 256"]

# Pixel formats whose planes hold luma, blue and red difference, and the bits of their samples.
_PLANAR_BITS = {
    **{f"yuv{kind}p": 8 for kind in ("410", "411", "420", "422", "440", "444")},
    **{f"yuvj{kind}p": 8 for kind in ("420", "422", "440", "444")},
    **{f"yuva{kind}p": 8 for kind in ("420", "422", "444")},
    **{f"yuv{kind}p{bits}le": bits for kind in ("420", "422", "444") for bits in (9, 10, 12, 14, 16)},
}
_GENERAL_FORMAT = "yuv420p"


def tiny_picture(frame: av.VideoFrame) -> Tiny:
    """Luma and both chroma planes of `frame` at the sizes `LUMA` and `CHROMA`, full range 0..255.

    Formats that do not keep luma and chroma in planes of their own are converted, which takes longer.
    """
    name = frame.format.name
    if name not in _PLANAR_BITS or any(plane.line_size < 0 for plane in frame.planes):
        frame = frame.reformat(
            width=LUMA[1] * _LUMA_POINTS, height=LUMA[0] * _LUMA_POINTS, format=_GENERAL_FORMAT, interpolation="AREA"
        )
        name = _GENERAL_FORMAT
    bits = _PLANAR_BITS[name]
    luma_levels, chroma_levels = _to_full_range(is_full_range(frame))
    luma, blue, red = frame.planes[:3]
    return (
        cv2.LUT(_shrunk(luma, bits, LUMA, _LUMA_POINTS), luma_levels),
        cv2.LUT(_shrunk(blue, bits, CHROMA, _CHROMA_POINTS), chroma_levels),
        cv2.LUT(_shrunk(red, bits, CHROMA, _CHROMA_POINTS), chroma_levels),
    )


def _shrunk(plane: VideoPlane, bits: int, size: tuple[int, int], points: int) -> Plane:
    sample = np.dtype(np.uint8 if bits == 8 else "<u2")
    # Linear interpolation reads 2 x 2 samples for each point; the means of points are the cells.
    small = cv2.resize(
        plane_samples(plane, sample), (size[1] * points, size[0] * points), interpolation=cv2.INTER_LINEAR
    )
    if points > 1:
        small = cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_AREA)
    return small if bits == 8 else np.right_shift(small, bits - 8).astype(np.uint8)


@functools.cache
def _to_full_range(is_full: bool) -> tuple[Levels, Levels]:
    """What luma and chroma levels become: limited range is 16..235 for luma and 16..240 for chroma."""
    levels = np.arange(256)
    if is_full:
        return levels.astype(np.uint8), levels.astype(np.uint8)
    luma = (levels - 16) * (255 / 219)
    chroma = (levels - 128) * (255 / 224) + 128
    return luma.round().clip(0, 255).astype(np.uint8), chroma.round().clip(0, 255).astype(np.uint8)
