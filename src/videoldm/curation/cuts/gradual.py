"""Gradual transitions: windows that may be dissolves or wipes are judged, and the most probable ones chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool

from videoldm.curation.cuts.config import GradualConfig
from videoldm.curation.cuts.dissolves import MixtureWindows
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.gradual_measures import WindowMeasures
from videoldm.curation.cuts.judges import Measures, judge
from videoldm.curation.cuts.transition import FrameTransition, Stretch, Window
from videoldm.curation.cuts.wipes import WipeWindows

# Frames of several stretches that are looked into together.
_FRAMES_AT_ONCE = 4096
# Windows agree if they share more than this part of both.
_AGREEING = 0.4
# Likeness of two shots that is less than light alone ever leaves, and the probability of a straight dissolve.
_UNLIKE, _CERTAIN = 0.6, 0.95
# A straight window: most residual, least constancy, and the logarithm of its longest path over the shortest.
_MOST_RESIDUAL, _LEAST_CONSTANCY, _LONGEST_PATH = 0.1, 0.8, 0.2


class GradualFinder:
    """Finds the dissolves and wipes of one source."""

    def __init__(self, footage: Footage, config: GradualConfig) -> None:
        self._config = config
        self._measures = WindowMeasures(footage)
        self._proposers = MixtureWindows(footage, config.dissolves), WipeWindows(footage, config.wipes)

    def find(self, stretches: Sequence[Stretch]) -> list[FrameTransition]:
        """Return all in some stretches, in no order."""
        return [one for some in _at_once(stretches) for one in self._find(some)]

    def _find(self, stretches: Sequence[Stretch]) -> list[FrameTransition]:
        windows = self.windows(stretches)
        if not windows:
            return []
        quick = self._measures.quick(windows)
        is_straight = _is_straight(quick)
        is_possible = judge("possible_gradual").probabilities(quick) >= self._config.least_possible
        possible = np.flatnonzero(is_possible | is_straight)
        if not len(possible):
            return []
        windows = [windows[at] for at in possible.tolist()]
        quick = {name: values[possible] for name, values in quick.items()}
        motion = self._measures.motion(windows, quick["share"])
        probabilities = judge("gradual").probabilities(quick | motion)
        is_certain = is_straight[possible] & (motion["across"] < _UNLIKE)
        probabilities = np.where(is_certain, np.maximum(probabilities, _CERTAIN), probabilities)
        order = np.argsort(-probabilities)
        probable = [at for at in order.tolist() if probabilities[at] >= self._config.least_probability]
        return self._chosen([(windows[at], float(probabilities[at]), float(quick["in_steps"][at])) for at in probable])

    def _chosen(self, judged: list[tuple[Window, float, float]]) -> list[FrameTransition]:
        """Return the most probable windows, none of which overlap, from what is ordered by probability."""
        found: list[FrameTransition] = []
        while judged:
            one, probability, in_steps = judged[0]
            kind = "wipe" if in_steps >= self._config.least_in_steps else "dissolve"
            # Of those that agree, the best of the kind has the most exact ends.
            agreeing = [other for other, *_ in judged if other.kind == kind and _shared_part(one, other) > _AGREEING]
            exact = max(agreeing, key=lambda other: other.merit, default=one)
            found.append(FrameTransition(kind, exact.first + 1, exact.last, probability))
            judged = [rest for rest in judged[1:] if not _overlap(rest[0], exact)]
        return found

    def windows(self, stretches: Sequence[Stretch]) -> list[Window]:
        """Return the windows to look into: at each place the best two of either kind, their ends made exact."""
        found: dict[tuple[int, int], Window] = {}
        start = stretches[0].first
        for proposer in self._proposers:
            times_taken = np.zeros(stretches[-1].end - start, np.int8)
            for window in sorted(proposer.propose(stretches), key=lambda one: -one.merit):
                inside = slice(window.first + 1 - start, window.last - start)
                if times_taken[inside].max() < self._config.windows_at_a_place:
                    times_taken[inside] += 1
                    exact = proposer.refined(window)
                    found.setdefault((exact.first, exact.last), exact)
        # In order, as neighbours compare the same frames.
        return sorted(found.values(), key=lambda one: one.first)


def _is_straight(quick: Measures) -> Bool[np.ndarray, " k"]:
    """Return which windows lead from one picture to another by the shortest way, which nothing that moves does.

    The judge was fitted to footage that moves, and misses some dissolves between stills.
    """
    is_mixed = (quick["residual"] < _MOST_RESIDUAL) & (quick["constancy"] > _LEAST_CONSTANCY)
    return is_mixed & (quick["path"] < _LONGEST_PATH)


def _at_once(stretches: Sequence[Stretch]) -> Iterator[Sequence[Stretch]]:
    """Yield stretches together, as few calls cost less, and apart, as many frames need memory."""
    waiting: list[Stretch] = []
    for stretch in stretches:
        if waiting and stretch.end - waiting[0].first > _FRAMES_AT_ONCE:
            yield waiting
            waiting = []
        waiting.append(stretch)
    if waiting:
        yield waiting


def _overlap(one: Window, other: Window) -> bool:
    """Return whether frames inside are common to both."""
    return one.first + 1 < other.last and other.first + 1 < one.last


def _shared_part(one: Window, other: Window) -> float:
    """Return the intersection of two windows over their union."""
    common = min(one.last, other.last) - max(one.first, other.first)
    return max(common, 0) / (max(one.last, other.last) - min(one.first, other.first))
