"""How a stored video frame must be turned to be shown upright (the display matrix of phones and cameras)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from av import VideoFrame
from jaxtyping import UInt8


@dataclass(frozen=True, slots=True)
class Orientation:
    """Swap rows and columns first if `is_transposed`, then mirror left-right and top-bottom."""

    is_transposed: bool = False
    is_mirrored_x: bool = False
    is_mirrored_y: bool = False

    @property
    def rotation(self) -> int:
        """Clockwise degrees by which the stored frame is turned: 0, 90, 180 or 270."""
        if self.is_transposed:
            return 270 if self.is_mirrored_y else 90
        return 180 if self.is_mirrored_y else 0

    @property
    def is_mirrored(self) -> bool:
        """Whether the stored frame is mirrored left-right after `rotation`."""
        return self.is_transposed ^ self.is_mirrored_x ^ self.is_mirrored_y

    def apply(self, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "new_h new_w 3"]:
        """The picture as it is to be shown."""
        if self.is_transposed:
            picture = picture.transpose(1, 0, 2)
        if self.is_mirrored_x:
            picture = picture[:, ::-1]
        if self.is_mirrored_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)


def display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    """The nine 16.16 fixed-point numbers that the file gives to show this frame, None if it gives none."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return None
    return tuple(int(number) for number in np.frombuffer(bytes(data), dtype=np.int32))


def orientation(matrix: tuple[int, ...] | None) -> Orientation:
    """The multiple of 90 degrees and the mirroring nearest to a display matrix.

    The matrix (a b u; c d v; x y w) shows the stored point (p, q) at (a p + c q + x, b p + d q + y).
    """
    if matrix is None:
        return Orientation()
    a, b, _, c, d = matrix[:5]
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(is_transposed=True, is_mirrored_x=c < 0, is_mirrored_y=b < 0)
    return Orientation(is_mirrored_x=a < 0, is_mirrored_y=d < 0)
