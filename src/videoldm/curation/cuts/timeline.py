"""The typed timeline of a source, and the spans that lie safely inside one shot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.hard_cuts import cut_scores
from videoldm.curation.cuts.signals import SignalTable
from videoldm.curation.cuts.transition import Transition


class SafeSpan(NamedTuple):
    """The frames from `start_pts` to before `end_pts`, all of one shot and none of a transition."""

    start_pts: int
    end_pts: int
    num_frames: int


def find_transitions(signals: SignalTable, end_pts: int, config: CutConfig) -> list[Transition]:
    """All transitions in order, none overlaps another; `end_pts` is where the last frame ends."""
    scores = cut_scores(signals, config)
    return [
        Transition("cut", int(signals.pts[i]), int(signals.pts[i]), float(scores[i])) for i in np.flatnonzero(scores)
    ]


def safe_spans(
    transitions: Sequence[Transition], signals: SignalTable, end_pts: int, config: CutConfig
) -> list[SafeSpan]:
    """The stretches between the transitions; a flash that the same shot goes on after does not divide it."""
    spans: list[SafeSpan] = []
    start = int(signals.pts[0])
    for stop, resume in [(one.start_pts, one.end_pts) for one in transitions] + [(end_pts, end_pts)]:
        num_frames = int(np.searchsorted(signals.pts, stop) - np.searchsorted(signals.pts, start))
        if num_frames > 0:
            spans.append(SafeSpan(start, stop, num_frames))
        start = resume
    return spans
