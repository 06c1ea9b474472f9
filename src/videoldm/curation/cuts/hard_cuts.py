"""Hard cuts: a change between two frames far above the changes around it."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from jaxtyping import Bool

from videoldm.curation.cuts.config import HardCutConfig
from videoldm.curation.cuts.signals import Column, SignalTable
from videoldm.curation.cuts.transition import FrameTransition, frame_times, score_of

# Blue and red difference span fewer levels than luma.
_CHROMA_WEIGHT = 4.0
Changes = TypeVar("Changes", Column, float)
# Least number of frames compared with on each side, however long they last.
_LEAST_AROUND = 2


def find_cuts(signals: SignalTable, is_taken: Bool[np.ndarray, " t"], config: HardCutConfig) -> list[FrameTransition]:
    """Find the hard cuts at frames that are not `is_taken`; those that are do not count as frames around either.

    A cut is a change of picture and histogram between two frames, far above the changes of the frames around it.
    """
    change = signals.luma_change + _CHROMA_WEIGHT / 2 * signals.chroma_change
    histogram = signals.histogram_change
    times = frame_times(signals)
    firsts = np.searchsorted(times, times - config.around_s)
    ends = np.searchsorted(times, times + config.around_s, side="right")
    found: list[FrameTransition] = []
    # Changes of the frames around only lower the strength, so that other frames need no closer look.
    for frame in np.flatnonzero((_strength(change, histogram, config) >= 1) & ~is_taken):
        before = slice(max(min(firsts[frame], frame - _LEAST_AROUND), 1), frame)
        after = slice(frame + 1, max(ends[frame], frame + 1 + _LEAST_AROUND))
        usual_change = max(_mean(change[side], is_taken[side]) for side in (before, after))
        usual_histogram = max(_mean(histogram[side], is_taken[side]) for side in (before, after))
        strength = _strength(
            max(float(change[frame]) - config.change_around * usual_change, 0.0),
            max(float(histogram[frame]) - config.histogram_around * usual_histogram, 0.0),
            config,
        )
        if strength >= 1:
            found.append(FrameTransition("cut", int(frame), int(frame), score_of(strength)))
    return found


def _strength(change: Changes, histogram: Changes, config: HardCutConfig) -> Changes:
    return (change / config.change) * (histogram / config.histogram) ** 2


def _mean(values: Column, is_left_out: Bool[np.ndarray, " t"]) -> float:
    kept = values[~is_left_out]
    return float(kept.mean()) if len(kept) else 0.0
