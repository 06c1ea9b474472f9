"""What detectors share: signals with the frames' times, coarse pictures, and how alike two frames are up to motion."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Float64, Int64, UInt8

from videoldm.curation.cuts.signals import LUMA, NUM_LUMA, SignalTable
from videoldm.curation.cuts.transition import Stretch, Window, WindowKind

Picture = UInt8[np.ndarray, "h w"]
Flat = Float32[np.ndarray, "h w"]
Flow = Float32[np.ndarray, "h w 2"]
Blocks = Float32[np.ndarray, "rows columns"]
Vectors = Float32[np.ndarray, "t n"]
Numbers = Float[np.ndarray, " n"]

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
# Steps of the shortest window.
_LEAST_STEPS = 3
# Rows and columns of the parts of an enlarged picture that are sought elsewhere in another.
_PART_ROWS, _PART_WIDTH, _PART_STARTS = slice(4, 32), 32, (0, 16, 32)
# Pictures and comparisons that are kept, as detectors come back to the same frames.
_NUM_KEPT = 512


class Sampled(NamedTuple):
    """Frames of some stretches at a lower rate: their numbers, the means around them, the number of their stretch."""

    stretches: Sequence[Stretch]
    frames: Int64[np.ndarray, " k"]
    vectors: Vectors
    numbers: Int64[np.ndarray, " k"]

    def starts(self, length: int) -> Int64[np.ndarray, " n"]:
        """Return the rows from which `length` rows later the stretch is still the same."""
        return np.flatnonzero(self.numbers[length:] == self.numbers[:-length])

    def windows(self, kind: WindowKind, starts: Int64[np.ndarray, " n"], length: int, merits: Numbers) -> list[Window]:
        """Return the windows of `length` rows from some rows; without those too short to have a middle."""
        columns = (self.frames[starts], self.frames[starts + length], merits, self.numbers[starts])
        return [
            Window(kind, first, last, merit, self.stretches[number])
            for first, last, merit, number in zip(*(column.tolist() for column in columns), strict=True)
            if last - first >= _LEAST_STEPS
        ]


class Match(NamedTuple):
    """How one frame is explained by another that has been moved onto it.

    `likeness` is the correlation of details, 1 if motion explains all; brightness counts neither as a whole nor
    locally, so that exposure and shadows may change. `residual` is the mean difference of levels that is left.
    """

    likeness: float
    residual: float


class Chain(NamedTuple):
    """How the first of some frames is explained by the last, by the motion from each to the next.

    `likeness` is that of the part which stays in the picture, `visible` that part's share, `displacement` the length of
    the whole motion, `least_step` the least likeness from one to the next.
    """

    likeness: float
    visible: float
    displacement: float
    least_step: float


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
        self.enlarged = functools.lru_cache(_NUM_KEPT)(self._enlarged)
        self.detail = functools.lru_cache(_NUM_KEPT)(self._detail)
        self.match = functools.lru_cache(_NUM_KEPT)(self._match)
        self.flow = functools.lru_cache(_NUM_KEPT)(self._sought)

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.times)

    def sampled(self, stretches: Sequence[Stretch], rate: float) -> Sampled:
        """Return the frames of some stretches `rate` times a second, counted from the beginning of each.

        Means even out shaking. They are weighted by `as_vectors`.
        """
        lengths = [end - first for first, end in stretches]
        frames = np.concatenate([np.arange(first, end) for first, end in stretches])
        numbers = np.repeat(np.arange(len(stretches)), lengths)
        since = self.times[frames] - np.repeat([self.times[first] for first, _ in stretches], lengths)
        steps = np.floor(since * rate + 1e-6)
        starts = np.flatnonzero((np.diff(steps, prepend=-1) != 0) | (np.diff(numbers, prepend=-1) != 0))
        ends = np.append(starts[1:], len(frames))
        sums = np.add.reduceat(self.coarse[frames], starts, axis=0, dtype=np.float32)
        vectors = as_vectors(sums / (ends - starts)[:, None])
        return Sampled(stretches, frames[(starts + ends - 1) // 2], vectors, numbers[starts])

    def _enlarged(self, frame: int) -> Picture:
        """Return the luma of a frame at twice its size, as comparisons take it."""
        return cv2.resize(self.luma[frame], _ENLARGED, interpolation=cv2.INTER_LINEAR)

    def _detail(self, frame: int) -> Flat:
        """Return what of an enlarged frame differs from the mean of its neighbourhood."""
        return detail(self.enlarged(frame))

    def _sought(self, onto: int, frame: int) -> Flow:
        """Return where in `frame` each place of the frame `onto` is found."""
        return self._flow.calc(self.enlarged(onto), self.enlarged(frame), None)  # pyright: ignore[reportArgumentType, reportCallIssue, reportReturnType]

    def moved(self, onto: int, frame: int) -> Picture:
        """Return an enlarged frame moved as explains the frame `onto` best."""
        return _moved(self.enlarged(frame), self.flow(onto, frame))

    def _match(self, onto: int, frame: int) -> Match:
        """Return how a frame explains another one, `onto` which it is moved."""
        flow = self.flow(onto, frame)
        moved = _moved(self.enlarged(frame), flow)
        residual = float(cv2.norm(moved, self.enlarged(onto), cv2.NORM_L1)) / moved.size
        likeness = correlation(self.detail(onto), detail(moved))
        return Match(likeness, residual)

    def displacement(self, onto: int, frame: int) -> float:
        """Return the mean length of the motion between two frames, in cells of the enlarged picture."""
        return _length_of(self.flow(onto, frame))

    def likeness(self, onto: int, frame: int) -> float:
        """Return how alike two frames are: 1 if motion explains all."""
        return self.match(onto, frame).likeness

    def chain(self, frames: list[int]) -> Chain:
        """Return how the last frame explains the first by the motion from each frame to the next."""
        whole = np.zeros_like(_PLACES)
        pairs = list(itertools.pairwise(frames))
        for one, other in pairs:
            whole = whole + _moved(self.flow(one, other), whole)
        likeness, visible = self._likeness_in_sight(frames[0], frames[-1], whole)
        steps = (self.likeness(one, other) for one, other in pairs)
        return Chain(likeness, visible, _length_of(whole), min(steps))

    def shifted_likeness(self, onto: int, frame: int) -> float:
        """Return how alike a part of one frame and the best place for it in another are, after a shift alone.

        Flow loses hard edges that are as fine as the stored pictures; a slow pan over them is a shift all the same.
        """
        one, other = self.detail(onto), self.detail(frame)
        parts = (one[_PART_ROWS, start : start + _PART_WIDTH] for start in _PART_STARTS)
        return max(float(cv2.matchTemplate(other, part, cv2.TM_CCOEFF_NORMED).max()) for part in parts)

    def _likeness_in_sight(self, onto: int, frame: int, flow: Flow) -> tuple[float, float]:
        """Return the likeness of what a flow leads to places inside the picture, and the share of that."""
        at = flow + _PLACES
        is_inside = ((at >= 0) & (at <= (_ENLARGED[0] - 1, _ENLARGED[1] - 1))).all(axis=2)
        correlations, weights = block_correlations(self.detail(onto), detail(_moved(self.enlarged(frame), flow)))
        is_seen = block_means(np.asarray(is_inside, np.float32)) > 0.5
        seen, most = float((weights * is_seen).sum()), float(weights.sum()) + _LEAST_WEIGHT
        return float((correlations * weights * is_seen).sum()) / (seen + _LEAST_WEIGHT), seen / most


def _moved(picture: np.ndarray, flow: Flow) -> np.ndarray:
    """Return what is found in a picture at the ends of a flow."""
    return cv2.remap(picture, flow + _PLACES, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # pyright: ignore[reportArgumentType, reportCallIssue]


def _length_of(flow: Flow) -> float:
    return float(np.hypot(flow[..., 0], flow[..., 1]).mean())


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
    size = _BLOCK[0] * _BLOCK[1]
    products, energies, others = (block_means(part) * size for part in (one * other, one * one, other * other))
    return products / (np.sqrt(energies * others) + _NOISE * size), np.sqrt(energies + others)


def block_means(levels: Flat) -> Blocks:
    """Return the mean of each block."""
    rows, columns = levels.shape[0] // _BLOCK[0], levels.shape[1] // _BLOCK[1]
    return cv2.resize(levels, (columns, rows), interpolation=cv2.INTER_AREA)
