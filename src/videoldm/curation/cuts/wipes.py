"""Wipes: stretches in which each place changes from one shot to the other once, one after the other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int64

from videoldm.curation.cuts.config import WipeConfig
from videoldm.curation.cuts.footage import Footage, block_correlations, detail
from videoldm.curation.cuts.mixtures import MOST_ALIKE, likeness_beside
from videoldm.curation.cuts.signals import LUMA, NUM_LUMA
from videoldm.curation.cuts.transition import FrameTransition, score_of_evidence

# A place counts as changed by more levels than these, and as much as by these at most.
_CHANGED, _MUCH = 8.0, 40.0
# Part of the way at which a place still shows one shot, or already the other.
_NEAR = 0.25
# Parts of a window at which it is looked into, first quickly, then with motion.
_INSIDE, _MOVED = (0.25, 0.5, 0.75), (0.5, 0.35, 0.65)
# Most frames of a window that are compared cell by cell.
_MOST_FRAMES = 25
# Part of a window by which it is widened before its ends are sought, part of the changes left out at either end, and
# part of the time between that is added there, as an iris begins with little.
_WIDENED, _STRAY, _MARGIN = 0.25, 0.02, 0.08
# Least standard deviation of the times of change, as a part of the window: a cut has none.
_LEAST_SPREAD = 0.1
# Seconds before and after a window in which the other side is sought again.
_BACK_S = (1.0, 2.0, 3.0)
# More than both shots together ever explain better than one.
_HIGHEST_GAIN, _MORE_GAIN = 0.25, 0.06


@dataclass(frozen=True, slots=True)
class _Window:
    """The last frame of one shot alone and the first of the other."""

    first: int
    last: int
    merit: float


class WipeFinder:
    """Finds the wipes of one source."""

    def __init__(self, footage: Footage, config: WipeConfig) -> None:
        self._footage, self._config = footage, config

    def find(self, first: int, end: int) -> list[FrameTransition]:
        """Return all wipes from frame `first` to before `end`, between which there is no other transition."""
        is_taken = np.zeros(end - first, bool)
        found: list[FrameTransition] = []
        for window in sorted(self._propose(first, end), key=lambda one: -one.merit):
            if is_taken[window.first + 1 - first : window.last - first].any():
                continue
            is_taken[window.first + 1 - first : window.last - first] = True
            start, stop = self._refined(window, first, end)
            evidence = self._evidence((start, stop), (first, end))
            if evidence >= 0 and not any(one.first < stop and start + 1 < one.end for one in found):
                found.append(FrameTransition("wipe", start + 1, stop, score_of_evidence(evidence)))
        return sorted(found, key=lambda one: one.first)

    def _propose(self, first: int, end: int) -> list[_Window]:
        """Return windows in which most of the picture changes, in steps, and in even parts."""
        frames, pictures = self._footage.sampled(first, end, self._config.rate)
        luma = pictures[:, :NUM_LUMA]
        windows: list[_Window] = []
        for length_s in self._config.lengths_s:
            length = max(round(length_s * self._config.rate), 3)
            if length >= len(frames):
                break
            is_changed = np.abs(luma[length:] - luma[:-length]) > _CHANGED
            at = np.flatnonzero(np.count_nonzero(is_changed, axis=1) > self._config.least_part * NUM_LUMA)
            if not len(at):
                continue
            before, change = luma[at], luma[at + length] - luma[at]
            weights = _weights(change)
            whole = weights.sum(axis=1)
            steps, unevenness = np.zeros(len(at)), np.zeros(len(at))
            for inside in (round(part * length) for part in _INSIDE):
                shares = _shares(luma[at + inside] - before, change)
                steps += (_is_near(shares) * weights).sum(axis=1) / whole / len(_INSIDE)
                turned = ((shares > 0.5) * weights).sum(axis=1) / whole
                unevenness += np.abs(turned - inside / length) / len(_INSIDE)
            merits = steps * (1 - 2 * unevenness) * np.sqrt(whole / NUM_LUMA)
            windows += [
                _Window(int(frames[at[one]]), int(frames[at[one] + length]), float(merits[one]))
                for one in np.flatnonzero(merits >= self._config.least_merit)
                if frames[at[one] + length] - frames[at[one]] >= 3
            ]
        return windows

    def _refined(self, window: _Window, first: int, end: int) -> tuple[int, int]:
        """Return the last frame before any place changes, and the first after all have."""
        wider = max(1, round(_WIDENED * (window.last - window.first)))
        start, stop = max(first, window.first - wider), min(end - 1, window.last + wider)
        # Every frame of a short window, not more of a long one.
        step = 1 + (stop - start) // _MOST_FRAMES
        turns, weights = _turns(self._footage.luma[start : stop + 1 : step].astype(np.float32))
        turns = turns * step + step // 2
        order = np.argsort(turns, kind="stable")
        grown = np.cumsum(weights[order]) / max(float(weights.sum()), 1.0)
        low, high = (
            int(turns[order][min(int(np.searchsorted(grown, part)), len(order) - 1)]) for part in (_STRAY, 1 - _STRAY)
        )
        margin = round((high - low) * _MARGIN)
        exact = max(start, start + low - margin), min(stop, start + high + 1 + margin)
        return exact if exact[1] - exact[0] >= 3 else (window.first, window.last)

    def _evidence(self, window: tuple[int, int], bounds: tuple[int, int]) -> float:
        """Return the evidence for a wipe, in natural logarithms of odds; a negative number as soon as it is certain."""
        footage, config = self._footage, self._config
        across = footage.likeness(*window)
        if across > MOST_ALIKE:
            return -1.0
        frames = np.unique(np.linspace(*window, min(window[1] - window[0] + 1, _MOST_FRAMES)).round().astype(int))
        levels = footage.luma[frames].astype(np.float32)
        turns, weights = _turns(levels)
        known = config.order * _order(turns, weights, len(levels)) + config.step * _steps(levels)
        known -= config.likeness * across + config.least
        if known + config.likeness + config.gain * _HIGHEST_GAIN < 0:
            return -1.0
        known += config.likeness * likeness_beside(footage, window, bounds)
        gains: list[float] = []
        for part in _MOVED:
            # The first is of the middle, which the others do not exceed by much.
            most = max(gains) + _MORE_GAIN if gains else _HIGHEST_GAIN
            if known + config.gain * most < 0:
                return -1.0
            gains.append(self._gain(window, part))
        known += config.gain * float(np.mean(gains))
        return known - config.back * max(self._likeness_back(window, bounds) - across, 0.0) if known >= 0 else -1.0

    def _gain(self, window: tuple[int, int], part: float) -> float:
        """Return how much better both shots, each in its place, explain a frame inside than one, after motion."""
        footage = self._footage
        inside = footage.enlarged(window[0] + round(part * (window[1] - window[0])))
        goal = detail(inside)
        ends = (detail(footage.moved(footage.enlarged(frame), inside)) for frame in window)
        (old, weights), (new, _) = (block_correlations(end, goal) for end in ends)
        is_old = cv2.blur((old - new) * weights, (3, 3)) > 0
        both, *alone = ((one * weights).sum() for one in (np.where(is_old, old, new), old, new))
        return float((both - max(alone)) / max(float(weights.sum()), 1e-6))

    def _likeness_back(self, window: tuple[int, int], bounds: tuple[int, int]) -> float:
        """Return how alike one end is to frames beyond the other: after somebody walks by, the shot is there again."""
        footage, (first, last) = self._footage, window
        length = footage.times[last] - footage.times[first]
        reaches = np.array([length / 2, length, 2 * length, *_BACK_S])
        before = np.searchsorted(footage.times, footage.times[first] - reaches).clip(min=bounds[0])
        after = np.searchsorted(footage.times, footage.times[last] + reaches).clip(max=bounds[1] - 1)
        found = [footage.likeness(frame, last) for frame in set(before.tolist())]
        return max(found + [footage.likeness(first, frame) for frame in set(after.tolist())])


def _weights(change: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "... n"]:
    size = np.abs(change)
    return np.minimum(size, _MUCH) * (size > _CHANGED)


def _shares(since: Float[np.ndarray, "... n"], change: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "... n"]:
    """Return the part of the way from one shot to the other at each place that changes."""
    return since / np.where(np.abs(change) > _CHANGED, change, 1)


def _is_near(shares: Float[np.ndarray, "... n"]) -> np.ndarray:
    return np.minimum(np.abs(shares), np.abs(1 - shares)) < _NEAR


def _turns(levels: Float32[np.ndarray, "k h w"]) -> tuple[Int64[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Return after which of the frames each cell turns from the first to the last, and its weight."""
    flat = levels.reshape(len(levels), -1)
    change = flat[-1] - flat[0]
    shares = _shares(flat - flat[0], change)
    old, new = np.minimum(np.abs(shares), 1), np.minimum(np.abs(1 - shares), 1)
    misfits = np.cumsum(old, axis=0) + new.sum(axis=0) - np.cumsum(new, axis=0)
    return misfits[:-1].argmin(axis=0), _weights(change)


def _steps(levels: Float32[np.ndarray, "k h w"]) -> float:
    """Return how much of the change is made in steps, times the square root of the mean change in levels."""
    flat = levels.reshape(len(levels), -1)
    change = flat[-1] - flat[0]
    weights = _weights(change)
    near = _is_near(_shares(flat[1:-1] - flat[0], change))
    part = float((near * weights).sum() / max(float(weights.sum()) * len(near), 1.0))
    return part * float(np.abs(change).mean()) ** 0.5


def _patterns() -> list[np.ndarray]:
    """Return what the time of a change depends on in usual wipes: lines, doors, an iris, the hand of a clock."""
    down, across = ((np.arange(size) + 0.5) / size - 0.5 for size in LUMA)
    y, x = (part.reshape(-1) for part in np.meshgrid(down, across, indexing="ij"))
    fields = [(x, y), (np.abs(x),), (np.abs(y),), (np.hypot(x, y),), ((np.arctan2(x, -y) / (2 * np.pi)) % 1,)]
    return [np.stack([np.ones_like(x), *one], axis=1) for one in fields]


_PATTERNS = _patterns()


def _order(turns: Int64[np.ndarray, " n"], weights: Float[np.ndarray, " n"], num_frames: int) -> float:
    """Return how much of the variance of the times of change the best pattern explains."""
    if not weights.any():
        return 0.0
    weights = weights / weights.sum()
    centred = turns - float(turns @ weights)
    variance = float(centred**2 @ weights)
    if variance < (_LEAST_SPREAD * num_frames) ** 2:
        return 0.0
    explained = 0.0
    for pattern in _PATTERNS:
        weighted = pattern * weights[:, None]
        fitted = np.linalg.solve(pattern.T @ weighted + 1e-9 * np.eye(pattern.shape[1]), weighted.T @ centred)
        explained = max(explained, float((pattern @ fitted) ** 2 @ weights))
    return explained / variance
