"""A tiny picture of each frame, taken from its planes without converting the frame.

Each frame is read at some points as it is decoded; what follows from these is computed for many frames at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.plane import VideoPlane
from jaxtyping import Bool, Float, UInt8

from videoldm.video.colour import is_full_range
from videoldm.video.planes import plane_samples

LUMA = (18, 32)
"""Rows and columns of the tiny picture's luma."""
CHROMA = (9, 16)
# Points at which luma is read for each cell of the tiny picture, across and down: enough to even out noise and fine
# texture, and the cost does not grow with the size of the frame. Chroma is read at one.
_LUMA_POINTS = 2
_POINTS = (LUMA[0] * _LUMA_POINTS, LUMA[1] * _LUMA_POINTS)

# Pixel formats whose planes hold luma, blue and red difference, and the bits of their samples.
_PLANAR_BITS = {
    **{f"yuv{kind}p": 8 for kind in ("410", "411", "420", "422", "440", "444")},
    **{f"yuvj{kind}p": 8 for kind in ("420", "422", "440", "444")},
    **{f"yuva{kind}p": 8 for kind in ("420", "422", "444")},
    **{f"yuv{kind}p{bits}le": bits for kind in ("420", "422", "444") for bits in (9, 10, 12, 14, 16)},
}
_GENERAL_FORMAT = "yuv420p"
_BYTE, _TWO_BYTES = np.dtype(np.uint8), np.dtype("<u2")


def _as_levels(values: Float[np.ndarray, " 256"]) -> UInt8[np.ndarray, " 256"]:
    return values.round().clip(0, 255).astype(np.uint8)


# What limited range, 16..235 for luma and 16..240 for chroma, becomes.
_LUMA_LEVELS = _as_levels((np.arange(256) - 16) * (255 / 219))
_CHROMA_LEVELS = _as_levels((np.arange(256) - 128) * (255 / 224) + 128)


@dataclass(frozen=True, eq=False, slots=True)
class TinyPictures:
    """Of successive frames luma at `LUMA`, blue and red difference at `CHROMA`, full range 0..255."""

    luma: UInt8[np.ndarray, "t h w"]
    chroma: UInt8[np.ndarray, "t 2 y x"]


@dataclass(frozen=True, eq=False, slots=True)
class Points:
    """What was read of successive frames, each at its own range of levels."""

    luma: UInt8[np.ndarray, "t h w"]
    chroma: UInt8[np.ndarray, "t 2 y x"]
    is_full: Bool[np.ndarray, " t"]
    """Whether a frame's levels go from 0 to 255."""

    @classmethod
    def empty(cls, num_frames: int) -> Points:
        """Room for so many frames."""
        luma, chroma = np.empty((num_frames, *_POINTS), np.uint8), np.empty((num_frames, 2, *CHROMA), np.uint8)
        return cls(luma, chroma, np.empty(num_frames, np.bool_))

    def read(self, frame: av.VideoFrame, row: int) -> None:
        """Fill a row; formats that do not keep luma and chroma in planes of their own are converted, which is slow."""
        planes = frame.planes  # made anew by each look at them
        bits = _PLANAR_BITS.get(frame.format.name)
        if bits is None or planes[0].line_size < 0:
            frame = frame.reformat(
                width=_POINTS[1], height=_POINTS[0], format=_GENERAL_FORMAT, interpolation="AREA", threads=1
            )
            planes, bits = frame.planes, _PLANAR_BITS[_GENERAL_FORMAT]
        _read_plane(planes[0], bits, self.luma[row])
        _read_plane(planes[1], bits, self.chroma[row, 0])
        _read_plane(planes[2], bits, self.chroma[row, 1])
        self.is_full[row] = is_full_range(frame)

    def rows(self, first: int, end: int) -> Points:
        """Some of the frames, where they lie."""
        return Points(self.luma[first:end], self.chroma[first:end], self.is_full[first:end])

    def tiny(self) -> TinyPictures:
        """The tiny picture of each frame."""
        num_frames, is_full = len(self.luma), self.is_full[:, None, None]
        below_each_other = self.luma.reshape(-1, _POINTS[1])
        cells = cv2.resize(below_each_other, (LUMA[1], num_frames * LUMA[0]), interpolation=cv2.INTER_AREA)
        luma = cells.astype(np.uint8, copy=False).reshape(num_frames, *LUMA)
        return TinyPictures(
            np.where(is_full, luma, _LUMA_LEVELS[luma]),
            np.where(is_full[..., None], self.chroma, _CHROMA_LEVELS[self.chroma]),
        )


def _read_plane(plane: VideoPlane, bits: int, points: UInt8[np.ndarray, "h w"]) -> None:
    """Linear interpolation reads 2 x 2 samples for each point."""
    size = points.shape[::-1]
    if bits == 8:
        cv2.resize(plane_samples(plane, _BYTE), size, dst=points, interpolation=cv2.INTER_LINEAR)
    else:
        samples = cv2.resize(plane_samples(plane, _TWO_BYTES), size, interpolation=cv2.INTER_LINEAR)
        points[:] = np.right_shift(samples, bits - 8)
