"""Timeline of a source: all transitions, and the spans that lie safely inside one shot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.dissolves import difference
from videoldm.curation.cuts.fade_measures import probable_fades
from videoldm.curation.cuts.fades_and_flashes import VeilFinder
from videoldm.curation.cuts.flicker import divided_by_cuts, find_flicker
from videoldm.curation.cuts.footage import Footage
from videoldm.curation.cuts.gradual import GradualFinder
from videoldm.curation.cuts.hard_cuts import find_cuts
from videoldm.curation.cuts.learned import confirmed
from videoldm.curation.cuts.signals import SignalTable
from videoldm.curation.cuts.transition import FrameTransition, Stretch, Transition, runs, taken


class SafeSpan(NamedTuple):
    """Frames from `start_pts` to before `end_pts`, all of one shot and none of a transition."""

    start_pts: int
    end_pts: int
    num_frames: int


def find_transitions(signals: SignalTable, end_pts: int, config: CutConfig) -> list[Transition]:
    """Find all transitions, in order and without overlap; `end_pts` is where the last frame ends.

    This is a cascade: first flicker, which would look like all others; then fades and flashes, which would look like
    cuts; then cuts outside of them; then dissolves and wipes in what lies between. Raises InputError if a network is to
    confirm them and cannot.
    """
    footage = Footage(signals)
    found = find_lights(footage, config)
    found += find_cuts(footage, taken(found, len(signals)), config.hard)
    found.sort(key=lambda one: one.first)
    gradual = GradualFinder(footage, config.gradual)
    found += gradual.find(list(between(found, len(signals))))
    found.sort(key=lambda one: one.first)
    if config.learned is not None:
        found = confirmed(found, signals, config.learned)
    ticks = [*(int(pts) for pts in signals.pts), end_pts]
    return [Transition(one.kind, ticks[one.first], ticks[one.end], one.score) for one in found]


def find_lights(footage: Footage, config: CutConfig) -> list[FrameTransition]:
    """Find flicker with the cuts under it, and fades and flashes outside of it."""
    flicker = find_flicker(footage, config.flicker)
    # A cut where one flicker follows another is found under both.
    found = list(dict.fromkeys(part for one in flicker for part in divided_by_cuts(footage, one, config.flicker)))
    return found + probable_fades(footage, find_veils(footage, flicker, config), config.veils)


def find_veils(footage: Footage, flicker: Sequence[FrameTransition], config: CutConfig) -> list[FrameTransition]:
    """Find what may be fades, and flashes, outside of flicker; of a fade that reaches into it what lasts longer."""
    is_lit = np.zeros(len(footage), bool)
    for one in flicker:
        is_lit[one.first : one.end] = True
    found: list[FrameTransition] = []
    for veil in VeilFinder(footage, config.veils).find():
        is_inside = is_lit[veil.first : veil.end + 1]
        if not is_inside.any():
            found.append(veil)
        elif veil.kind != "flash":
            parts = [(veil.first + first, min(veil.first + end, veil.end)) for first, end in runs(~is_inside)]
            # Black after a strobe, not what is left of one of its phases.
            least_s = config.veils.longest_part_s
            long = [(first, end) for first, end in parts if footage.times[end - 1] - footage.times[first] > least_s]
            found += [replace(veil, first=first, end=end) for first, end in long]
    return found


def between(found: Sequence[FrameTransition], num_frames: int) -> Iterator[Stretch]:
    """Yield the stretches of frames that lie in no transition."""
    start = 0
    for one in found:
        if one.first > start:
            yield Stretch(start, one.first)
        start = one.end
    if num_frames > start:
        yield Stretch(start, num_frames)


def safe_spans(
    transitions: Sequence[Transition], signals: SignalTable, end_pts: int, config: CutConfig
) -> list[SafeSpan]:
    """Return the stretches between the transitions; flicker, and a flash inside one shot, divide nothing."""
    dividing = [one for one in transitions if not _is_inside_shot(one, signals, config)]
    spans: list[SafeSpan] = []
    start = int(signals.pts[0])
    for stop, resume in [(one.start_pts, one.end_pts) for one in dividing] + [(end_pts, end_pts)]:
        first, end = np.searchsorted(signals.pts, (start, stop))
        if end > first:
            spans.append(SafeSpan(start, stop, int(end - first)))
        start = resume
    return spans


def _is_inside_shot(one: Transition, signals: SignalTable, config: CutConfig) -> bool:
    """Return whether it is light alone, so that the frames on both sides belong to one shot."""
    if one.kind == "flicker":
        return True
    if one.kind != "flash":
        return False
    first, end = (int(at) for at in np.searchsorted(signals.pts, (one.start_pts, one.end_pts)))
    if first == 0 or end == len(signals):
        return False
    change, histogram = difference(signals.coarse([first - 1, end]))
    return change * histogram**0.5 < config.same_shot
