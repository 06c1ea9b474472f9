"""The shift between two pictures that overlap in part, found over the whole range of shifts at once."""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy.fft import irfft2, rfft2

_SHORT_SIDE = 32
_LEAST_OVERLAP = 0.2
_LEAST_SPREAD = 1.0
"""Grey values; parts of pictures that vary less look alike wherever they lie."""


class Shift(NamedTuple):
    """Where the first picture's points lie in the second one, in pixels, and the correlation there, at most 1."""

    x: float
    y: float
    correlation: float


def find_shift(first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]) -> Shift | None:
    """Return the shift at which the overlapping parts of two grey pictures correlate most, to about 3 % of a side.

    At least a fifth of the pictures has to overlap. None if nothing in them can be compared.
    Padfield 2012, "Masked Object Registration in the Fourier Domain", without masks.
    """
    height, width = first.shape
    scale = _SHORT_SIDE / min(height, width)
    small = [_detail(picture, scale) for picture in (first, second)]
    rows, columns = small[0].shape
    overlap = _overlap(rows, columns)
    size = overlap.shape
    spectra = [(rfft2(one, size), rfft2(one**2, size)) for one in small]
    ones = _ones_spectrum(rows, columns)

    def correlated(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return irfft2(left.conj() * right, size)

    (of_first, square_first), (of_second, square_second) = spectra
    sum_first, sum_second = correlated(of_first, ones), correlated(ones, of_second)
    product = correlated(of_first, of_second) - sum_first * sum_second / overlap
    spread_first = correlated(square_first, ones) - sum_first**2 / overlap
    spread_second = correlated(ones, square_second) - sum_second**2 / overlap
    least = _LEAST_SPREAD**2 * overlap
    is_known = (overlap >= _LEAST_OVERLAP * rows * columns) & (spread_first > least) & (spread_second > least)
    if not is_known.any():
        return None
    score = np.where(is_known, product / np.sqrt(np.maximum(spread_first * spread_second, 1e-9)), -1)
    # A large overlap is unlikely to correlate by chance, a small one is not: weigh by the number of points.
    y, x = np.unravel_index(int((score * np.sqrt(np.minimum(1, overlap / (rows * columns)))).argmax()), size)
    dx, dy = (int(place) - length * (place > length // 2) for place, length in ((x, size[1]), (y, size[0])))
    return Shift(dx * width / columns, dy * height / rows, float(score[y, x]))


def _detail(picture: UInt8[np.ndarray, "h w"], scale: float) -> Float32[np.ndarray, "y x"]:
    """Shrink a picture and leave its coarsest parts away: light changes, and correlates at any shift."""
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    return small - cv2.GaussianBlur(small, (0, 0), _SHORT_SIDE / 6)


@functools.lru_cache(maxsize=8)
def _ones_spectrum(rows: int, columns: int) -> np.ndarray:
    return rfft2(np.ones((rows, columns)), (2 * rows, 2 * columns))


@functools.lru_cache(maxsize=8)
def _overlap(rows: int, columns: int) -> np.ndarray:
    """Return the number of points that overlap at each shift, at least 1."""
    ones = _ones_spectrum(rows, columns)
    return np.maximum(np.rint(irfft2(ones.conj() * ones, (2 * rows, 2 * columns))), 1)
