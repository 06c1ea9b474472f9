"""Letterbox: the black bars around a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from pydantic import Field

from videoldm.core.config import Config, Share

_EDGE_PX = 2
"""Number of rows over which compression and resizing smear the edge of a bar."""
_MOSTLY, _HARDLY = 0.5, 0.02


class LetterboxConfig(Config):
    """Thresholds of black bars around the picture."""

    darkest: int = Field(default=24, ge=0, le=255)
    """Grey values up to this are black; compression lifts some of a bar's pixels above 0."""
    largest: Share = 0.4
    """No bar takes more than this share of the frame's height or width."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Sizes of the black bars as shares of the frame's height and width."""

    top: float = 0.0
    bottom: float = 0.0
    left: float = 0.0
    right: float = 0.0

    @property
    def area(self) -> float:
        """Share of the frame that the bars take."""
        return 1 - (1 - self.top - self.bottom) * (1 - self.left - self.right)

    def cut_off(self, frame: Shaped[np.ndarray, "h w *c"]) -> Shaped[np.ndarray, "inner_h inner_w *c"]:
        """Return the part of `frame` that certainly lies inside the bars."""
        height, width = frame.shape[:2]
        rows = slice(_inner(self.top, height), height - _inner(self.bottom, height))
        columns = slice(_inner(self.left, width), width - _inner(self.right, width))
        return frame[rows, columns]


def find_bars(frames: UInt8[np.ndarray, "t h w"], config: LetterboxConfig) -> Bars:
    """Find the black bars that all of some grey frames have.

    Bars differ from dark scenes by their edges: straight, along the whole frame, bright within two pixels, and alike
    on opposite sides. A bar may have a line of text on it; a frame that is dark all over has no bars.
    """
    is_lit = frames.max(axis=0) > config.darkest
    top, bottom = _pair(is_lit, config)
    height = len(is_lit)
    left, right = _pair(is_lit[top : height - bottom].T, config)
    width = is_lit.shape[1]
    return Bars(top / height, bottom / height, left / width, right / width)


def _pair(is_lit: Bool[np.ndarray, "h w"], config: LetterboxConfig) -> tuple[int, int]:
    """Return the rows of the bars above and below, 0 and 0 if they are unlike."""
    lit = is_lit.mean(axis=1)
    longest = int(config.largest * len(lit))
    above, below = _bar(lit, longest), _bar(lit[::-1], longest)
    is_alike = abs(above - below) <= _EDGE_PX + max(above, below) // 8
    return (above, below) if above and below and is_alike else (0, 0)


def _bar(lit: np.ndarray, longest: int) -> int:
    """Return the number of rows before the first edge, given the share of each row that is lit."""
    for end in range(1, min(longest, len(lit) - _EDGE_PX - 1) + 1):
        if lit[end - 1] > _MOSTLY:
            return 0
        if lit[end - 1] <= _HARDLY < lit[end] and lit[end : end + _EDGE_PX + 1].max() >= _MOSTLY:
            return end
    return 0


def _inner(share: float, length: int) -> int:
    """Return the number of pixels to cut off, including the smeared ones."""
    return 0 if share == 0 else min(round(share * length) + _EDGE_PX, length // 2 - 1)
