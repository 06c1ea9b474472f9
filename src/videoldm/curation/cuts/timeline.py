"""Timeline of a source: all transitions, and the spans that lie safely inside one shot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Bool

from videoldm.curation.cuts.config import CutConfig, HardCutConfig
from videoldm.curation.cuts.dissolves import DissolveFinder, difference
from videoldm.curation.cuts.signals import Column, SignalTable
from videoldm.curation.cuts.transition import FrameTransition, Transition, frame_times, score_of, taken
from videoldm.curation.cuts.veils import VeilFinder

# Blue and red difference span fewer levels than luma.
_CHROMA_WEIGHT = 4.0
Changes = TypeVar("Changes", Column, float)
# Least number of frames compared with on each side, however long they last.
_LEAST_AROUND = 2


class SafeSpan(NamedTuple):
    """Frames from `start_pts` to before `end_pts`, all of one shot and none of a transition."""

    start_pts: int
    end_pts: int
    num_frames: int


def find_transitions(signals: SignalTable, end_pts: int, config: CutConfig) -> list[Transition]:
    """Find all transitions, in order and without overlap; `end_pts` is where the last frame ends.

    This is a cascade: first fades and flashes, which would look like cuts; then cuts outside of them, at the source's
    own rate; then dissolves, at lower rates, in what lies between.
    """
    found = VeilFinder(signals, config.veils).find()
    found += find_cuts(signals, taken(found, len(signals)), config.hard)
    found.sort(key=lambda one: one.first)
    dissolves = DissolveFinder(signals, config.dissolves)
    start = 0
    between: list[FrameTransition] = []
    for stop, resume in [(one.first, one.end) for one in found] + [(len(signals), len(signals))]:
        if stop > start:
            between += dissolves.find(start, stop)
        start = resume
    ticks = [*(int(pts) for pts in signals.pts), end_pts]
    return [
        Transition(one.kind, ticks[one.first], ticks[one.end], one.score)
        for one in sorted(found + between, key=lambda one: one.first)
    ]


def safe_spans(
    transitions: Sequence[Transition], signals: SignalTable, end_pts: int, config: CutConfig
) -> list[SafeSpan]:
    """Return the stretches between the transitions; a flash inside one shot divides nothing."""
    dividing = [one for one in transitions if one.kind != "flash" or not _is_inside_shot(one, signals, config)]
    spans: list[SafeSpan] = []
    start = int(signals.pts[0])
    for stop, resume in [(one.start_pts, one.end_pts) for one in dividing] + [(end_pts, end_pts)]:
        first, end = np.searchsorted(signals.pts, (start, stop))
        if end > first:
            spans.append(SafeSpan(start, stop, int(end - first)))
        start = resume
    return spans


def _is_inside_shot(flash: Transition, signals: SignalTable, config: CutConfig) -> bool:
    """Return whether the frames on both sides belong to one shot."""
    first, end = (int(at) for at in np.searchsorted(signals.pts, (flash.start_pts, flash.end_pts)))
    if first == 0 or end == len(signals):
        return False
    change, histogram = difference(signals.pictures[[first - 1, end]])
    return change * histogram**0.5 < config.same_shot


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
