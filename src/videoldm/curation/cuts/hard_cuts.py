"""Hard cuts: a frame unlike the one before, although both are like the frames on their own side."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool

from videoldm.curation.cuts.config import HardCutConfig
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.signals import Column
from videoldm.curation.cuts.transition import FrameTransition, score_of_evidence

# Blue and red difference span fewer levels than luma.
_CHROMA_WEIGHT = 4.0
# Least number of frames compared with on each side, however long they last.
_LEAST_AROUND = 2
# Levels added before the logarithm is taken, so that small changes in still pictures do not count much.
_STILL = 0.5
# Most levels by which cells differ that show the same.
_SAME = 2.0
# Beyond nine times the change around, more is no surer: in a still picture any change is a high peak.
_HIGHEST_PEAK = 2.2
# A change that does not rise by a quarter above those around is not looked at.
_LEAST_PEAK = 0.22


def find_cuts(footage: Footage, is_taken: Bool[np.ndarray, " t"], config: HardCutConfig) -> list[FrameTransition]:
    """Find the hard cuts at frames that are not `is_taken`; those that are do not count as frames around either."""
    cuts = _CutFinder(footage, is_taken, config)
    found: list[FrameTransition] = []
    for frame in cuts.candidates().tolist():
        evidence = cuts.evidence(frame)
        if evidence >= 0:
            kind = "jump_cut" if footage.likeness(frame - 1, frame) >= config.jump else "cut"
            found.append(FrameTransition(kind, frame, frame, score_of_evidence(evidence)))
    return found


class _CutFinder:
    def __init__(self, footage: Footage, is_taken: Bool[np.ndarray, " t"], config: HardCutConfig) -> None:
        self._footage, self._config = footage, config
        signals = footage.signals
        self._change = signals.luma_change + _CHROMA_WEIGHT / 2 * signals.chroma_change
        self._peak = np.log((self._change + _STILL) / (self._around(is_taken) + _STILL)).clip(max=_HIGHEST_PEAK)
        self._from_change = config.change * np.log(self._change + 1) + config.peak * self._peak - config.least
        self._is_open = ~is_taken
        self._is_open[0] = False

    def _around(self, is_taken: Bool[np.ndarray, " t"]) -> Column:
        """Return the mean change of the frames around each one."""
        times, reach = self._footage.times, self._config.around_s
        numbers = np.arange(len(times))
        firsts = np.minimum(np.searchsorted(times, times - reach), numbers - _LEAST_AROUND).clip(1)
        ends = np.maximum(np.searchsorted(times, times + reach, side="right"), numbers + 1 + _LEAST_AROUND)
        ends = ends.clip(max=len(times))
        # The first frame has no change.
        counted = ~is_taken & (numbers > 0)
        sums, counts = (np.concatenate([[0], np.cumsum(part)]) for part in (self._change * counted, counted))
        total = sums[ends] - sums[firsts] - self._change * counted
        return (total / np.maximum(counts[ends] - counts[firsts] - counted, 1)).astype(np.float32)

    def candidates(self) -> np.ndarray:
        """Return the frames that are cuts if nothing of the picture before is in them."""
        is_possible = (self._from_change + self._config.likeness >= 0) & (self._peak >= _LEAST_PEAK)
        return np.flatnonzero(is_possible & self._is_open)

    def evidence(self, frame: int) -> float:
        """Return the whole evidence for a cut at a frame, or a negative number as soon as it is certain."""
        footage, config = self._footage, self._config
        known = float(self._from_change[frame])
        least_drop = config.least_drop_beside_still if self._is_mostly_still(frame) else config.least_drop
        # From cheap to exact: likeness without motion, with motion, and that on either side.
        across = max(footage.still_likeness(frame - 1, frame), 0.0)
        inside = 1.0
        for step in (self._across, self._before, self._after):
            if inside - across < least_drop or known + config.likeness * (inside - across) < 0:
                return -1.0
            across, inside = step(frame, across, inside)
        return known + config.likeness * (inside - across) if inside - across >= least_drop else -1.0

    def _is_mostly_still(self, frame: int) -> bool:
        """Return whether most of the picture stays as it was, as when text appears."""
        luma = self._footage.luma
        return 2 * np.count_nonzero(cv2.absdiff(luma[frame], luma[frame - 1]) <= _SAME) >= luma[frame].size

    def _across(self, frame: int, across: float, inside: float) -> tuple[float, float]:
        return max(self._footage.likeness(frame - 1, frame), across), inside

    def _before(self, frame: int, across: float, inside: float) -> tuple[float, float]:
        return across, inside - (1 - self._footage.likeness(frame - 2, frame - 1)) / 2 if frame > 1 else inside

    def _after(self, frame: int, across: float, inside: float) -> tuple[float, float]:
        is_last = frame + 1 == len(self._footage)
        return across, inside if is_last else inside - (1 - self._footage.likeness(frame, frame + 1)) / 2
