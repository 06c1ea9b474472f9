"""What detectors share: signals with the frames' times, coarse pictures, and how alike two frames are up to motion."""

from __future__ import annotations

import functools

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt8

from videoldm.curation.cuts.signals import LUMA, NUM_LUMA, SignalTable

Picture = UInt8[np.ndarray, "h w"]
Flat = Float32[np.ndarray, "h w"]
Blocks = Float32[np.ndarray, "rows columns"]
Vectors = Float32[np.ndarray, "t n"]

# Pictures are enlarged so that a flow of the size of the stored ones, which is half as fine, can be found.
_ENLARGED = (2 * LUMA[1], 2 * LUMA[0])
_FINEST_SCALE = 1
_PLACES = np.stack(np.meshgrid(np.arange(_ENLARGED[0]), np.arange(_ENLARGED[1])), axis=-1).astype(np.float32)
# Weight of a level of colour difference over one of luma; coarse pictures hold few of them.
_CHROMA_WEIGHT = 2.5
# Cells on a side of the neighbourhood whose mean is taken off, so that light does not count.
_NEIGHBOURHOOD = 9
# Variance of noise, in levels squared: pictures with as little contrast are not compared.
_NOISE = 1.0
# Rows and columns of a block of an enlarged picture.
_BLOCK = (6, 8)
_LEAST_WEIGHT = 1e-6
# Frames whose enlarged pictures are kept, as most are compared several times in a row.
_NUM_RECENT = 64


class Footage:
    """One source: its signals, and what several detectors compute from them."""

    def __init__(self, signals: SignalTable) -> None:
        self.signals = signals
        self.times: Float64[np.ndarray, " t"] = (signals.pts - signals.pts[0]) * float(signals.time_base)
        """When each frame is shown, in seconds after the first; for measuring spans, not for records."""
        self.luma = signals.luma
        self.coarse = signals.coarse()
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._flow.setFinestScale(_FINEST_SCALE)
        self.enlarged = functools.lru_cache(_NUM_RECENT)(self._enlarged)
        """Luma of a frame at twice its size, as comparisons take it."""
        self.detail = functools.lru_cache(_NUM_RECENT)(self._detail)
        """What differs from its neighbourhood in an enlarged frame."""

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.times)

    def sampled(self, first: int, end: int, rate: float) -> tuple[Int64[np.ndarray, " k"], Vectors]:
        """Return frame numbers and means of the coarse pictures around them, `rate` times a second.

        Means even out shaking. They are weighted by `as_vectors`.
        """
        times = self.times[first:end]
        steps = np.floor((times - times[0]) * rate + 1e-6)
        starts = np.flatnonzero(np.diff(steps, prepend=-1))
        ends = np.append(starts[1:], len(times))
        sums = np.add.reduceat(self.coarse[first:end], starts, axis=0, dtype=np.float32)
        return first + (starts + ends - 1) // 2, as_vectors(sums / (ends - starts)[:, None])

    def _enlarged(self, frame: int) -> Picture:
        return cv2.resize(self.luma[frame], _ENLARGED, interpolation=cv2.INTER_LINEAR)

    def _detail(self, frame: int) -> Flat:
        return detail(self.enlarged(frame))

    def moved(self, picture: Picture, onto: Picture) -> Picture:
        """Return an enlarged picture moved as explains another one best."""
        flow = self._flow.calc(onto, picture, None)  # pyright: ignore[reportArgumentType, reportCallIssue]
        return cv2.remap(picture, flow + _PLACES, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportArgumentType, reportCallIssue]

    def still_likeness(self, first: int, second: int) -> float:
        """Return the correlation of two frames as they are."""
        return correlation(self.detail(first), self.detail(second))

    def likeness(self, first: int, second: int) -> float:
        """Return the correlation of two frames after one has been moved onto the other: 1 if motion explains all.

        Brightness counts neither as a whole nor locally, so that exposure and shadows may change.
        """
        moved = self.moved(self.enlarged(second), self.enlarged(first))
        return correlation(self.detail(first), detail(moved))


def as_vectors(pictures: UInt8[np.ndarray, "t n"] | Float[np.ndarray, "t n"]) -> Vectors:
    """Return coarse pictures weighted so that their distances count luma and colour."""
    vectors = pictures.astype(np.float32)
    vectors[:, NUM_LUMA:] *= _CHROMA_WEIGHT
    return vectors


def detail(picture: Picture) -> Flat:
    """Return what differs from the mean of its neighbourhood."""
    levels = picture.astype(np.float32)
    return levels - cv2.blur(levels, (_NEIGHBOURHOOD, _NEIGHBOURHOOD))


def correlation(one: Flat, other: Flat) -> float:
    """Return the correlation of two pictures' details, block by block; 0 where there are none but noise.

    A block weighs as its contrast, not as its energy, so that text does not outweigh all that lies around it.
    """
    correlations, weights = block_correlations(one, other)
    return float((weights * correlations).sum() / (weights.sum() + _LEAST_WEIGHT))


def block_correlations(one: Flat, other: Flat) -> tuple[Blocks, Blocks]:
    """Return the correlation of two pictures' details in each block, and its weight."""
    products, energies, others = (_sums(part) for part in (one * other, one * one, other * other))
    return products / (np.sqrt(energies * others) + _NOISE * _BLOCK[0] * _BLOCK[1]), np.sqrt(energies + others)


def _sums(levels: Flat) -> Blocks:
    """Return the sum of each block."""
    rows, columns = levels.shape[0] // _BLOCK[0], levels.shape[1] // _BLOCK[1]
    return cv2.resize(levels, (columns, rows), interpolation=cv2.INTER_AREA) * (_BLOCK[0] * _BLOCK[1])
