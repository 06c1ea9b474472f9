"""Small pictures straight from the planes of a decoded frame, much cheaper than converting all of it."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from av import VideoFrame
from av.video.plane import VideoPlane
from jaxtyping import Float32, Num, UInt8

from videoldm.video.colour import is_full_range, source_matrix

# Formats with 8-bit luma, blue and red difference in planes of their own.
_PLANAR = frozenset(f"yuv{j}{kind}p" for j in ("", "j") for kind in ("410", "411", "420", "422", "440", "444"))
_GENERAL_FORMAT = "yuv444p"
# Weights of red and blue in luma, by the number of the matrix in ITU-T H.273; others are as BT.601.
_WEIGHTS = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 7: (0.212, 0.087)}
_BT601 = (0.299, 0.114)


def small_bgr(frame: VideoFrame, width: int, height: int) -> UInt8[np.ndarray, "height width 3"]:
    """The frame at `width` x `height`, no larger than it is, as blue, green, red 0..255 by its own colour tags."""
    matrix = source_matrix(frame)
    if frame.format.name not in _PLANAR or any(plane.line_size < 0 for plane in frame.planes):
        frame = frame.reformat(width=width, height=height, format=_GENERAL_FORMAT, interpolation="AREA", threads=1)
    planes = [_resized(plane, width, height) for plane in frame.planes[:3]]
    return cv2.transform(cv2.merge(planes), _to_bgr(matrix, is_full_range(frame)))


def plane_samples(plane: VideoPlane, sample: np.dtype[Any]) -> Num[np.ndarray, "h w"]:
    """A plane's samples where they lie, without the bytes that fill up its lines."""
    rows = np.frombuffer(memoryview(plane), sample).reshape(plane.height, plane.line_size // sample.itemsize)
    return rows[:, : plane.width]


def _resized(plane: VideoPlane, width: int, height: int) -> UInt8[np.ndarray, "height width"]:
    samples = plane_samples(plane, np.dtype(np.uint8))
    if (plane.height, plane.width) == (height, width):
        return samples
    is_smaller = plane.width >= width and plane.height >= height
    return cv2.resize(samples, (width, height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)


@functools.cache
def _to_bgr(matrix: int, is_full: bool) -> Float32[np.ndarray, "3 4"]:
    """What takes luma, blue and red difference to blue, green and red (ITU-T H.273, 8.3)."""
    red, blue = _WEIGHTS.get(matrix, _BT601)
    green = 1 - red - blue
    luma, chroma = (1.0, 1.0) if is_full else (255 / 219, 255 / 224)
    black = 0 if is_full else 16
    from_blue, from_red = 2 * (1 - blue) * chroma, 2 * (1 - red) * chroma
    rows = np.array(
        [
            [luma, from_blue, 0],
            [luma, -blue / green * from_blue, -red / green * from_red],
            [luma, 0, from_red],
        ]
    )
    offset = -rows @ np.array([black, 128, 128])
    return np.column_stack([rows, offset]).astype(np.float32)
