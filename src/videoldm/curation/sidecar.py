"""Small upright frames with square pixels, kept from the one decode of a source for all that look at it later."""

from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorRange, Interpolation
from jaxtyping import UInt8

from videoldm.curation.config import SidecarConfig
from videoldm.video.colour import source_matrix
from videoldm.video.orientation import display_matrix, orientation


def encode_frame(frame: VideoFrame, pixel_aspect: Fraction, config: SidecarConfig) -> bytes:
    """A frame as a small JPEG, upright, its pixels square."""
    width, height = small_size(frame.width, frame.height, pixel_aspect, config.short_side)
    picture = frame.to_ndarray(
        width=width,
        height=height,
        format="bgr24",
        src_colorspace=source_matrix(frame),
        src_color_range=frame.color_range,
        dst_color_range=ColorRange.JPEG,
        interpolation=Interpolation.AREA | Interpolation.BITEXACT | Interpolation.ACCURATE_RND,
        threads=1,
    )
    upright = orientation(display_matrix(frame)).apply(picture)
    is_encoded, data = cv2.imencode(".jpg", upright, [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality])
    assert is_encoded
    return data.tobytes()


def decode_frame(jpeg: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """The RGB pixels of a kept frame."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def small_size(width: int, height: int, pixel_aspect: Fraction, short_side: int) -> tuple[int, int]:
    """Width and height with square pixels and at most that short side; never larger than the frame is shown."""
    shown = Fraction(width) * pixel_aspect, Fraction(height)
    scale = min(Fraction(1), Fraction(short_side) / min(shown))
    return max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale))
