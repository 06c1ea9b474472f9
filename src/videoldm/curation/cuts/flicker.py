"""Flicker: a lamp, a strobe or a police car's light that goes on and off, and the cuts under it."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Int64

from videoldm.curation.cuts.config import FlickerConfig
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.measures import correlations
from videoldm.curation.cuts.signals import LUMA_SIZE, NUM_LUMA, Column, SignalTable
from videoldm.curation.cuts.transition import FrameTransition, runs, score_of

_CHROMA_WEIGHT = 2.0
# Frames to look ahead at most, whatever the frame rate.
_MOST_AHEAD = 40
# Part of the longest time between two changes inside within which others belong to them.
_SLACK = 1.3
# Mean of details, in levels, from which a frame shows something.
_SHOWN = 1.5
# Frames that are compared before and after a possible cut under flicker, so that some are lit alike.
_BEFORE, _AFTER = (1, 2, 4, 7), (0, 1, 3, 6)
# Correlation of coarse pictures from which two frames are of one shot, without a search for motion.
_SURELY_ALIKE = 0.85


def find_flicker(footage: Footage, config: FlickerConfig) -> list[FrameTransition]:
    """Find the stretches in which sudden changes are undone again and again; the first and last frames are lit alike.

    A cut is not undone, and what moves does not come back at once to where it was.
    """
    changes = footage.signals.luma_change + _CHROMA_WEIGHT * footage.signals.chroma_change
    is_inside = np.zeros(len(footage), bool)
    jumps: list[int] = []
    reached = 0
    is_jump = (changes >= config.change) & _is_light(footage.signals, changes, config)
    for jump in np.flatnonzero(is_jump).tolist():
        if jump >= reached:
            back = _undone(footage, changes, jump, config)
            if back is not None:
                is_inside[jump:back] = True
                jumps.append(jump)
                reached = back
    found: list[FrameTransition] = []
    for first, end in runs(_closed(is_inside, footage, config)):
        inside = np.array([jump for jump in jumps if first <= jump < end])
        if len(inside) >= config.least_times:
            wide = _widened(footage, changes, (first, end), inside, config)
            if not _is_intercut(footage, changes, wide, config):
                found.append(FrameTransition("flicker", *wide, score_of(len(inside) / config.least_times)))
    return found


def divided_by_cuts(footage: Footage, flicker: FrameTransition, config: FlickerConfig) -> list[FrameTransition]:
    """Return a flicker as it is, or its parts and the cuts between and beside them, in order."""
    drops = _drops_under(footage, flicker)
    cuts: list[FrameTransition] = []
    for frame in sorted(drops, key=lambda frame: -drops[frame]):
        if drops[frame] >= config.least_drop and all(abs(frame - cut.first) > _AFTER[-1] for cut in cuts):
            cuts.append(FrameTransition("cut", frame, frame, score_of(drops[frame] / config.least_drop)))
    frames = sorted(cut.first for cut in cuts)
    ends = itertools.pairwise([flicker.first, *frames, flicker.end])
    parts = [FrameTransition("flicker", first, end, flicker.score) for first, end in ends if end > first]
    return sorted([*parts, *cuts], key=lambda one: (one.first, one.end))


def _drops_under(footage: Footage, flicker: FrameTransition) -> dict[int, float]:
    """Return for frames that may begin a shot how much less alike both sides are than the frames of either side."""
    last, frames = len(footage) - 1, _changed_in(footage, flicker.first, flicker.end)
    alike = np.zeros(len(frames))
    for before, after in itertools.product(_BEFORE, _AFTER):
        sides = (footage.coarse[(frames + step).clip(0, last), :NUM_LUMA] for step in (-before, after))
        alike = np.maximum(alike, correlations(*(side.astype(np.float32) for side in sides)))
    return {frame: _drop(footage, frame) for frame in frames[alike < _SURELY_ALIKE].tolist()}


def _changed_in(footage: Footage, first: int, end: int) -> Int64[np.ndarray, " n"]:
    """Return the frames of a flicker and the first after it that have a frame before them."""
    return np.arange(max(first, 1), min(end, len(footage) - 1) + 1)


def _drop(footage: Footage, frame: int) -> float:
    """Return by how much the best likeness across a frame is below the best on either side."""
    before = sorted({max(frame - step, 0) for step in _BEFORE})
    after = sorted({min(frame + step, len(footage) - 1) for step in _AFTER})
    across = max(footage.likeness(*pair) for pair in itertools.product(before, after))
    beside = [
        max((footage.likeness(*pair) for pair in itertools.combinations(side, 2)), default=0.0)
        for side in (before, after)
    ]
    return min(beside) - across


def _is_light(signals: SignalTable, changes: Column, config: FlickerConfig) -> Bool[np.ndarray, " t"]:
    """Return whether most of a frame's change has one sign, as light has and motion has not."""
    planes = (signals.pictures[:, :LUMA_SIZE], *np.split(signals.pictures[:, LUMA_SIZE:], 2, axis=1))
    means = (plane.mean(axis=1, dtype=np.float32) for plane in planes)
    luma, blue, red = (np.abs(np.diff(mean, prepend=mean[:1])) for mean in means)
    return luma + _CHROMA_WEIGHT * (blue + red) / 2 >= config.one_sign * changes


def _is_intercut(footage: Footage, changes: Column, span: tuple[int, int], config: FlickerConfig) -> bool:
    """Return whether two shots take turns: on both sides of most changes there is something, and not the same."""
    frames = _changed_in(footage, *span)
    jumps = frames[changes[frames] >= config.change].tolist()
    likeness = [footage.likeness(jump - 1, jump) for jump in jumps]
    contrasts = [min(float(np.abs(footage.detail(at)).mean()) for at in (jump - 1, jump)) for jump in jumps]
    return bool(np.median(likeness) < config.least_likeness and np.median(contrasts) >= _SHOWN)


def _widened(
    footage: Footage, changes: Column, span: tuple[int, int], jumps: np.ndarray, config: FlickerConfig
) -> tuple[int, int]:
    """Return the span up to the changes beside it that come as soon as those inside, as when the lamp goes off."""
    times, least = footage.times, config.suddenness * float(np.median(changes[jumps]))
    longest = _SLACK * float(np.diff(times[[*jumps, span[1] - 1]]).max())
    low, high = np.searchsorted(times, (times[span[0]] - longest, times[span[1] - 1] + longest))
    before = np.flatnonzero(changes[low : span[0]] >= least)
    after = np.flatnonzero(changes[span[1] + 1 : high] >= least)
    return int(low + before[0]) if len(before) else span[0], int(span[1] + 1 + after[-1]) if len(after) else span[1]


def _undone(footage: Footage, changes: Column, jump: int, config: FlickerConfig) -> int | None:
    """Return the first frame that looks again like the one before the jump, if it comes soon and as suddenly."""
    last = int(np.searchsorted(footage.times, footage.times[jump] + config.longest_half_s, side="right"))
    frames = np.arange(jump + 1, min(last, jump + _MOST_AHEAD))
    frames = frames[changes[frames] >= config.suddenness * changes[jump]]
    rest = _distances(footage.signals, frames, jump - 1)
    is_back = rest <= config.rest * changes[jump]
    return int(frames[np.argmax(is_back)]) if is_back.any() else None


def _distances(signals: SignalTable, frames: np.ndarray, other: int) -> Column:
    """Return the change from a frame to each of some others, as changes from frame to frame are measured."""
    levels = np.abs(signals.pictures[frames].astype(np.int16) - signals.pictures[other])
    parts = levels[:, :LUMA_SIZE].mean(axis=1) + _CHROMA_WEIGHT * levels[:, LUMA_SIZE:].mean(axis=1)
    return parts.astype(np.float32)


def _closed(is_inside: np.ndarray, footage: Footage, config: FlickerConfig) -> np.ndarray:
    """Return the mask without short gaps, as between two flashes of one strobe."""
    closed = is_inside.copy()
    for first, end in runs(~is_inside):
        if first > 0 and end < len(footage) and footage.times[end] - footage.times[first - 1] <= config.longest_half_s:
            closed[first:end] = True
    return closed
