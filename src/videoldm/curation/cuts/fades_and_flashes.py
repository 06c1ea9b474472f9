"""Fades and flashes: frames that turn to one level, black or white, and come back from it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from videoldm.curation.cuts.config import VeilConfig
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.signals import COARSE, NUM_LUMA, Column
from videoldm.curation.cuts.transition import FrameTransition, fitted_line, runs, score_of, taken

# A ramp is followed in steps of at least this time, so that noise does not end a slow one ...
_STEP_S = 0.04
# ... as long as a step keeps this share of the ramp's mean slope, and has at least this many levels.
_SLOPE_SHARE, _SLOPE_SHARE_AFTER_REPEAT, _LEAST_STEP = 0.2, 0.7, 0.6
# Shares of a ramp's height between which a line is fitted to find where the ramp began.
_FITTED = (0.15, 0.85)
# Frames on both sides that a fade to something not wholly black has at least.
_LEAST_RAMP = 2
# Most levels (standard deviation) by which black varies; a shot in the dark varies more.
_EMPTY = 2.0
# Rows and columns of cells in each corner, where a station's logo is.
_CORNER = (3, 4)
Cells = Bool[np.ndarray, " n"]


@dataclass(frozen=True, slots=True, eq=False)
class _Extreme:
    """Frames `first` to before `end` that are black, white or flat, where they are, and the signal that leaves that."""

    first: int
    end: int
    cells: Cells
    signal: Column
    height: float
    """Least rise of the signal, in levels, on either side."""
    is_whole: bool
    """Whether nothing but a logo is elsewhere."""


class VeilFinder:
    """Finds the fades and flashes of one source."""

    def __init__(self, footage: Footage, config: VeilConfig) -> None:
        self._luma, self._times, self._config = footage.coarse[:, :NUM_LUMA], footage.times, config

    def find(self) -> list[FrameTransition]:
        """Return fades and flashes in order; a fade without its other side is of one kind only."""
        found: list[FrameTransition] = []
        extremes = self._extremes()
        for index, one in enumerate(extremes):
            low = found[-1].end if found else 0
            high = extremes[index + 1].first if index + 1 < len(extremes) else len(self._luma)
            if one.first >= low:
                found += self._veil(one, (low, high))
        return [one for one in self._with_peaks(found) if one.end > one.first]

    def _extremes(self) -> list[_Extreme]:
        """Return the runs of frames that are black, white or flat."""
        config = self._config
        found: list[_Extreme] = []
        is_any = np.zeros(len(self._luma), bool)
        for cells in (self._luma <= config.black, self._luma >= config.white):
            share, rest = cells.mean(axis=1), cells[:, ~corners()].mean(axis=1)
            is_whole = (share >= config.whole) | (rest >= config.whole_but_logo)
            is_extreme = share >= config.share
            for first, end in runs(is_extreme):
                if self._seconds(first, end) > config.longest_part_s:
                    is_extreme[first:end] = is_whole[first:end]
            is_any |= is_extreme
            for first, end in runs(is_extreme):
                mean = self._luma[:, cells[first]].mean(axis=1, dtype=np.float32)
                found.append(_Extreme(first, end, cells[first], mean, config.height, bool(is_whole[first])))
        spread = self._luma[:, ~corners()].std(axis=1, dtype=np.float32)
        for first, end in runs(spread <= config.flat):
            if is_any[max(first - 1, 0) : end + 1].any():
                continue  # it is the end of a ramp
            found.append(_Extreme(first, end, ~corners(), spread, config.height / 2, is_whole=True))
        return sorted(found, key=lambda one: one.first)

    def _veil(self, one: _Extreme, bounds: tuple[int, int]) -> list[FrameTransition]:
        """Return the transitions of a run with its ramps."""
        first, end = one.first, one.end
        num_before, height_before = self._ramp(range(first, bounds[0] - 1, -1), one.signal)
        num_after, height_after = self._ramp(range(end - 1, bounds[1]), one.signal)
        height = max(height_before, height_after)
        is_all = first == 0 and end == len(self._luma)
        if height < one.height:
            return [FrameTransition("fade_out", first, end, 1.0)] if is_all and one.is_whole else []
        start = first - (num_before if height_before >= one.height else 0)
        stop = end + (num_after if height_after >= one.height else 0)
        score = score_of(height / one.height)
        is_white = self._luma[first, one.cells].mean() >= self._config.white
        is_empty = one.is_whole and self._luma[first, ~corners()].std() <= _EMPTY
        if not is_white and not is_empty and first - start + stop - end < _LEAST_RAMP:
            return []  # the beginning of a dark shot, not a fade to black
        if is_white and self._seconds(start, stop) <= self._config.longest_flash_s:
            return [FrameTransition("flash", start, stop, score)]
        if start < first and end < stop:
            return [FrameTransition("fade_out", start, end, score), FrameTransition("fade_in", end, stop, score)]
        is_in = end < stop or start == 0
        return [FrameTransition("fade_in" if is_in else "fade_out", start, stop, score)]

    def _seconds(self, first: int, end: int) -> float:
        return self._times[min(end, len(self._times) - 1)] - self._times[first]

    def _ramp(self, frames: range, signal: Column) -> tuple[int, float]:
        """Return how many frames after the first of `frames` are part of a ramp of the signal, and its height."""
        reach = self._times[frames[0]] + frames.step * self._config.longest_ramp_s
        furthest = int(np.searchsorted(self._times, reach, side="right" if frames.step > 0 else "left"))
        frames = range(
            frames[0], min(frames.stop, furthest) if frames.step > 0 else max(frames.stop, furthest - 1), frames.step
        )
        seconds = np.abs(self._times[frames] - self._times[frames[0]])
        values = signal[frames].astype(np.float64)
        away = np.abs(values - values[0])
        before, reached = _followed(seconds, away)
        height = float(away[reached])
        if reached == 0:
            return 0, 0.0
        low, high = (share * height for share in _FITTED)
        fitted = np.flatnonzero((away[: reached + 1] > low) & (away[: reached + 1] < high))
        last = reached
        if len(fitted) >= 2:
            slope, offset = fitted_line(away[fitted], seconds[fitted])
            last = int(np.searchsorted(seconds, slope * height + offset - 1e-6))
        return min(max(last, before + 1), reached) - 1, height

    def _with_peaks(self, found: list[FrameTransition]) -> list[FrameTransition]:
        """Add flashes and short fades that do not reach white or black, as when that frame is missing."""
        is_taken = taken(found, len(self._luma))
        mean = self._luma.mean(axis=1, dtype=np.float32)
        for sign in (1, -1):
            for peak in self._peaks(sign * mean):
                if not is_taken[max(peak - 1, 0) : peak + 2].any():
                    one = self._peak_veil(peak, sign, is_taken)
                    found += one
                    is_taken |= taken(one, len(self._luma))
        return sorted(found, key=lambda one: one.first)

    def _peaks(self, values: Column) -> list[int]:
        """Return the frames that exceed those shortly before and after by `config.peak`."""
        reach, height = self._config.longest_flash_s, self._config.peak
        firsts = np.searchsorted(self._times, self._times - reach - 1e-6)
        ends = np.searchsorted(self._times, self._times + reach + 1e-6, side="right")
        travelled = np.cumsum(np.abs(np.diff(values, prepend=values[:1])))
        # Quick tests first, which no peak fails.
        is_peak = (travelled - travelled[firsts] >= height) & (travelled[ends - 1] - travelled >= height)
        is_peak[1:] &= values[1:] >= values[:-1]
        is_peak[:-1] &= values[:-1] > values[1:]
        return [
            int(at)
            for at in np.flatnonzero(is_peak)
            if values[at] == values[firsts[at] : ends[at]].max()
            and values[at] - values[firsts[at] : at + 1].min() >= height
            and values[at] - values[at : ends[at]].min() >= height
        ]

    def _peak_veil(self, peak: int, sign: int, is_taken: Bool[np.ndarray, " t"]) -> list[FrameTransition]:
        """Return the flash (`sign` 1) or fade (-1) around the frame `peak`, if most of the picture takes part."""
        luma, config = self._luma, self._config
        mean = luma.mean(axis=1, dtype=np.float32)
        ahead, behind = np.flatnonzero(is_taken[peak:]), np.flatnonzero(is_taken[:peak])
        low = int(behind[-1]) + 1 if len(behind) else 0
        high = peak + int(ahead[0]) if len(ahead) else len(luma)
        num_before, height_before = self._ramp(range(peak, low - 1, -1), mean)
        num_after, height_after = self._ramp(range(peak, high), mean)
        start, stop = peak - num_before, peak + 1 + num_after
        if min(height_before, height_after) < config.peak:
            return []
        if sign > 0 and self._seconds(start, stop) > config.longest_flash_s:
            return []
        goal, least = (255.0, config.least_flash) if sign > 0 else (0.0, config.least_fade)
        for side in (start - 1, stop):
            outside, inside = luma[side].astype(np.float32), luma[peak].astype(np.float32)
            room = np.abs(goal - outside)
            moved = sign * (inside - outside)
            if np.mean(moved >= least * room) < config.share:
                return []
        score = score_of(min(height_before, height_after) / config.peak)
        if sign > 0:
            return [FrameTransition("flash", start, stop, score)]
        return [FrameTransition("fade_out", start, peak + 1, score), FrameTransition("fade_in", peak + 1, stop, score)]


@functools.cache
def corners() -> Cells:
    """Return which of the coarse picture's cells lie in a corner."""
    rows, columns = np.indices(COARSE)
    is_outside = (np.minimum(rows, COARSE[0] - 1 - rows) < _CORNER[0]) & (
        np.minimum(columns, COARSE[1] - 1 - columns) < _CORNER[1]
    )
    return is_outside.reshape(-1)


def _followed(seconds: Float64[np.ndarray, " t"], away: Float64[np.ndarray, " t"]) -> tuple[int, int]:
    """Return where the last step that still leads away begins and ends."""
    steps = [0]
    for index in range(1, len(seconds)):
        if seconds[index] >= seconds[steps[-1]] + _STEP_S - 1e-6:
            steps.append(index)
    at = 0
    while True:
        here = steps[at]
        slope = away[here] / seconds[here] if at else 0.0
        # One step that does not rise may be a repeated frame, if the next makes up for it.
        for ahead, share in zip(steps[at + 1 : at + 3], (_SLOPE_SHARE, _SLOPE_SHARE_AFTER_REPEAT), strict=False):
            if away[ahead] - away[here] >= max(_LEAST_STEP, share * slope * (seconds[ahead] - seconds[here])):
                at = steps.index(ahead, at)
                break
        else:
            return steps[max(at - 1, 0)], here
