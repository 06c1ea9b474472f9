"""Sidecar: small upright frames with square pixels, kept from the one decode of a source for later annotators."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
from av import VideoFrame
from jaxtyping import UInt8

from videoldm.curation.config import SidecarConfig
from videoldm.video.display import small_bgr, small_grey
from videoldm.video.interlacing import progressive
from videoldm.video.look import Look

_REDUCED = ((4, cv2.IMREAD_REDUCED_GRAYSCALE_4), (2, cv2.IMREAD_REDUCED_GRAYSCALE_2))
_START_OF_FRAME = (0xC0, 0xC1, 0xC2)


def encode_frame(frame: VideoFrame, look: Look, config: SidecarConfig) -> bytes:
    """Encode a frame as a small upright JPEG of SDR with square pixels, of one moment."""
    size = small_size(frame.width, frame.height, look.pixel_aspect, config.short_side)
    return _jpeg(look.turn.apply(small_bgr(progressive(frame), *size)), config)


def encode_grey(frame: VideoFrame, look: Look, config: SidecarConfig) -> bytes:
    """Encode the luma of a frame as `encode_frame` does, still smaller, for motion."""
    short_side = min(config.motion_short_side, config.short_side)
    size = small_size(frame.width, frame.height, look.pixel_aspect, short_side)
    return _jpeg(look.turn.apply(small_grey(progressive(frame), *size)), config)


def _jpeg(picture: UInt8[np.ndarray, "h w *c"], config: SidecarConfig) -> bytes:
    is_encoded, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, config.jpeg_quality])
    assert is_encoded
    return data.tobytes()


def decode_frame(jpeg: bytes) -> UInt8[np.ndarray, "h w 3"]:
    """Decode a kept frame to RGB pixels 0..255."""
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


def decode_grey(jpeg: bytes, *, least_short_side: int) -> UInt8[np.ndarray, "h w"]:
    """Decode the luma of a kept frame, at a half or a quarter of its size if that is at least `least_short_side`."""
    short_side = _short_side(jpeg)
    mode = next((mode for scale, mode in _REDUCED if short_side >= scale * least_short_side), cv2.IMREAD_GRAYSCALE)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), mode)
    assert picture is not None
    return picture


def _short_side(jpeg: bytes) -> int:
    """Read the short side, in pixels, from the segment of the file that holds its size."""
    at = 2
    while jpeg[at + 1] not in _START_OF_FRAME:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4])
    return min(int.from_bytes(jpeg[at + 5 : at + 7]), int.from_bytes(jpeg[at + 7 : at + 9]))


def middle_frame(pts: Sequence[int], start_pts: int, end_pts: int) -> int:
    """Return the index in `pts` of the kept frame nearest to the middle of a span, the earlier of two."""
    middle = Fraction(start_pts + end_pts, 2)
    return min(range(len(pts)), key=lambda place: abs(pts[place] - middle))


@functools.lru_cache(maxsize=8)
def small_size(width: int, height: int, pixel_aspect: Fraction, short_side: int) -> tuple[int, int]:
    """Return width and height with square pixels and at most that short side, never larger than the frame as shown."""
    shown = Fraction(width) * pixel_aspect, Fraction(height)
    scale = min(Fraction(1), Fraction(short_side) / min(shown))
    return max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale))
