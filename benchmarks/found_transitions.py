"""What our detectors find in a file, as frame numbers; for the benchmarks of cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av

from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import CutSignals, SignalTable
from videoldm.curation.cuts.timeline import find_transitions
from videoldm.curation.cuts.transition import Transition
from videoldm.video.decoding import decode_cheaply

Spans = list[tuple[int, int]]
NO_CHANGE = {"flash", "flicker", "damage"}
"""Kinds after which the shot goes on."""


@dataclass(frozen=True)
class FoundTransitions:
    """The transitions of a file with the signals that they were found in."""

    signals: SignalTable
    end_pts: int
    transitions: Sequence[Transition]
    numbers: Mapping[int, int]
    """Frame numbers by time stamp, with that of the end."""

    def cuts(self) -> list[int]:
        """Return the first frames after hard cuts."""
        return [self.numbers[one.start_pts] for one in self.transitions if "cut" in one.kind]

    def gradual(self) -> Spans:
        """Return spans up to before their ends; fades that follow each other at once are one."""
        spans = Spans()
        for one in self.transitions:
            first, end = self.numbers[one.start_pts], self.numbers[one.end_pts]
            if one.kind == "fade_in" and spans and spans[-1][1] == first:
                spans[-1] = (spans[-1][0], end)
            elif "cut" not in one.kind and one.kind not in NO_CHANGE:
                spans.append((first, end))
        return spans


def find_in(path: Path, config: CutConfig) -> FoundTransitions:
    """Decode a file once and find its transitions."""
    table, end_pts = signals_of(path, config)
    numbers = {int(pts): number for number, pts in enumerate([*table.pts, end_pts])}
    return FoundTransitions(table, end_pts, find_transitions(table, end_pts, config), numbers)


def signals_of(path: Path, config: CutConfig) -> tuple[SignalTable, int]:
    """Decode a file once, as a run does; return the signals of its frames, and where the last one ends."""
    signals = CutSignals(config)
    with av.open(str(path)) as container:
        decode_cheaply(container.streams.video[0])
        for frame in container.decode(video=0):
            signals.add(frame)
    table = signals.finish()
    return table, int(table.pts[-1]) + (frame.duration or 1)  # pyright: ignore[reportPossiblyUnboundVariable]
