"""Stage from signals to the timeline of each source and its clips, which stay virtual until they are exported."""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.curation.config import ClipConfig
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import SIGNAL_COLUMNS, SignalTable
from videoldm.curation.cuts.timeline import SafeSpan, find_transitions, safe_spans
from videoldm.curation.cuts.transition import Transition
from videoldm.curation.executors.executor import CannotGoOn
from videoldm.curation.sidecar import middle_frame
from videoldm.curation.store.parts import rows_of, write_part
from videoldm.dataset.tables import CLIPS, GREY_KINDS, LOOK, NO_FRAME_KEPT, TOO_SHORT, TRANSITIONS
from videoldm.video.steady import Times
from videoldm.video.time import mean_rate

USABLE = ("whole", "damaged")
SHARED = ("source_id", "path", "stream", "time_base_num", "time_base_den")
"""Columns that clips take over from their source."""
LOOK_COLUMNS = tuple(name for name, _ in LOOK)


@dataclass(frozen=True)
class ClipsTask:
    """A source that has been decoded, and the parts that hold its signals and frames."""

    source: Mapping[str, Any]
    """Its row in the table of sources."""
    signals: Path
    sidecars: Path
    cuts: CutConfig
    config: ClipConfig


class SourceRows(NamedTuple):
    """Rows of transitions and clips of one source."""

    transitions: list[dict[str, Any]]
    clips: list[dict[str, Any]]


def make_clips(task: ClipsTask) -> SourceRows:
    """Find the transitions and the clips of one source."""
    source = task.source
    try:
        of_source = rows_of(task.signals, source["source_id"], SIGNAL_COLUMNS)
        kept = rows_of(task.sidecars, source["source_id"], ["pts", "kind", "is_interlaced", "combing"]).to_pylist()
    except InputError as error:
        raise CannotGoOn(str(error)) from error  # the part is broken, which is not the fault of this source
    shown = [row for row in kept if row["kind"] not in GREY_KINDS]
    time_base = f"{source['time_base_num']}/{source['time_base_den']}"
    table = SignalTable.from_arrow(of_source.replace_schema_metadata({"time_base": time_base}))
    transitions = _timeline(source, table, task.cuts)
    spans, cuts = _of_one_look(safe_spans(transitions, table, source["end_pts"], task.cuts), source, table.pts)
    transitions = sorted([*transitions, *cuts], key=lambda one: one.start_pts)
    parts = [part for span in spans for part in divide(span, table.pts, table.time_base, task.config)]
    clips: list[dict[str, Any]] = []
    unused: list[tuple[str, SafeSpan]] = []
    for part in parts:
        inside = _inside(shown, part)
        if (part.end_pts - part.start_pts) * table.time_base < Fraction(task.config.min_s):
            unused.append((TOO_SHORT, part))
        elif not inside:
            unused.append((NO_FRAME_KEPT, part))
        else:
            clips.append(_clip(source, part, table, inside))
    shared = {name: source[name] for name in ("source_id", "time_base_num", "time_base_den")}
    elsewhere = _in_no_clip(transitions, unused, clips, table.pts)
    return SourceRows([{**shared, **row} for row in elsewhere], clips)


def write_clips(found: Sequence[SourceRows], transitions: Path, clips: Path, *, digest: str) -> None:
    """Write a batch's parts from the rows of its sources, in their order."""
    write_part(transitions, [row for one in found for row in one.transitions], TRANSITIONS, digest=digest)
    write_part(clips, [row for one in found for row in one.clips], CLIPS, digest=digest)


def clip_id(source_id: str, stream: int, start_pts: int, end_pts: int) -> str:
    """Return the name of a span of a source by its content: 32 hexadecimal digits."""
    return hashlib.blake2b(f"{source_id} {stream} {start_pts} {end_pts}".encode(), digest_size=16).hexdigest()


def divide(span: SafeSpan, pts: np.ndarray, time_base: Fraction, config: ClipConfig) -> list[SafeSpan]:
    """Divide a span into parts of equal duration, but for half a frame, that are not too long."""
    ticks = span.end_pts - span.start_pts
    num_parts = math.ceil(ticks * time_base / Fraction(config.max_s))
    first, end = (int(edge) for edge in np.searchsorted(pts, (span.start_pts, span.end_pts)))
    wanted = [span.start_pts + Fraction(ticks * part, num_parts) for part in range(1, num_parts)]
    edges = sorted({first, *(_nearest(pts, first, end, time) for time in wanted), end})
    bounds = [*(int(pts[edge]) for edge in edges[:-1]), span.end_pts]
    return [SafeSpan(bounds[part], bounds[part + 1], edges[part + 1] - edges[part]) for part in range(len(edges) - 1)]


def _nearest(pts: np.ndarray, first: int, end: int, time: Fraction) -> int:
    """Return which of the frames `first` to before `end` begins nearest to a time, the earlier of two."""
    after = first + int(np.searchsorted(pts[first:end], math.ceil(time)))
    return min(range(max(first, after - 1), min(end, after + 1)), key=lambda place: abs(int(pts[place]) - time))


def _timeline(source: Mapping[str, Any], table: SignalTable, config: CutConfig) -> list[Transition]:
    """Return the gaps where something is broken and the detected transitions, in order and without overlap."""
    damage = [Transition("damage", start, end, 1.0) for start, end in source["gaps"]]
    try:
        found = find_transitions(table, source["end_pts"], config)
    except InputError as error:
        raise CannotGoOn(str(error)) from error  # the network cannot be used, which is not the fault of this source
    return sorted([*damage, *outside_damage(found, damage)], key=lambda one: (one.start_pts, one.end_pts))


def _of_one_look(
    spans: Sequence[SafeSpan], source: Mapping[str, Any], pts: Int64[np.ndarray, " t"]
) -> tuple[list[SafeSpan], list[Transition]]:
    """Divide the spans where the look changes, also under flicker and flashes, and return the cuts there too."""
    changes = [look["start_pts"] for look in source["looks"][1:]]
    parts: list[SafeSpan] = []
    cuts: list[Transition] = []
    for span in spans:
        inside = [change for change in changes if span.start_pts < change < span.end_pts]
        cuts += [Transition("cut", change, change, 1.0) for change in inside]
        bounds = [span.start_pts, *inside, span.end_pts]
        edges = np.searchsorted(pts, bounds).tolist()
        parts += [
            SafeSpan(bounds[part], bounds[part + 1], edges[part + 1] - edges[part]) for part in range(len(inside) + 1)
        ]
    return parts, cuts


def outside_damage(transitions: Sequence[Transition], damage: Sequence[Transition]) -> list[Transition]:
    """Return the transitions without what lies in damage, and without the cuts that damage looks like."""
    return [part for one in transitions for part in _outside(one, damage)]


def _outside(one: Transition, damage: Sequence[Transition]) -> Iterator[Transition]:
    start = one.start_pts
    for gap in damage:
        if one.start_pts == one.end_pts and gap.start_pts <= start <= gap.end_pts:
            return
        if gap.start_pts < one.end_pts and start < gap.end_pts:
            if start < gap.start_pts:
                yield replace(one, start_pts=start, end_pts=gap.start_pts)
            start = gap.end_pts
    if start < one.end_pts or one.start_pts == one.end_pts:
        yield replace(one, start_pts=start)


def _in_no_clip(
    transitions: Sequence[Transition],
    unused: Sequence[tuple[str, SafeSpan]],
    clips: Sequence[Mapping[str, Any]],
    pts: Int64[np.ndarray, " t"],
) -> list[dict[str, Any]]:
    """Return transitions and unused spans (with their kinds), each with its number of frames that are in no clip."""
    is_counted = np.zeros(len(pts), bool)

    def count(start_pts: int, end_pts: int) -> int:
        first, end = np.searchsorted(pts, (start_pts, end_pts))
        num_frames = int(np.count_nonzero(~is_counted[first:end]))
        is_counted[first:end] = True
        return num_frames

    for clip in clips:
        num_frames = count(clip["start_pts"], clip["end_pts"])
        assert num_frames == clip["num_frames"], "no frame is in two clips"
    rows: list[dict[str, Any]] = []
    for kind, span in unused:
        num_frames = count(span.start_pts, span.end_pts)
        if num_frames:
            rows.append(_row(kind, span.start_pts, span.end_pts, num_frames, None))
    for one in transitions:
        num_frames = count(one.start_pts, one.end_pts)
        rows.append(_row(one.kind, one.start_pts, one.end_pts, num_frames, one.score))
    assert is_counted.all(), "each frame is in a clip, in a transition, or in a span that is not used"
    return sorted(rows, key=lambda row: (row["start_pts"], row["end_pts"]))


def _row(kind: str, start_pts: int, end_pts: int, num_frames: int, score: float | None) -> dict[str, Any]:
    return {"kind": kind, "start_pts": start_pts, "end_pts": end_pts, "num_frames": num_frames, "score": score}


def _inside(kept: Sequence[Mapping[str, Any]], span: SafeSpan) -> Sequence[Mapping[str, Any]]:
    """Return the kept frames of a span."""
    first, end = (bisect_left(kept, pts, key=itemgetter("pts")) for pts in (span.start_pts, span.end_pts))
    return kept[first:end]


def _clip(
    source: Mapping[str, Any], span: SafeSpan, table: SignalTable, inside: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the row of a clip, of which the frames `inside` were kept."""
    pts = [frame["pts"] for frame in inside]
    look = next(one for one in reversed(source["looks"]) if one["start_pts"] <= span.start_pts)
    rate = _frame_rate(source, span, table)
    return {
        **{name: source[name] for name in SHARED},
        **{name: look[name] for name in LOOK_COLUMNS},
        "clip_id": clip_id(source["source_id"], source["stream"], span.start_pts, span.end_pts),
        "start_pts": span.start_pts,
        "end_pts": span.end_pts,
        "num_frames": span.num_frames,
        "times": _times(source, span),
        "field_order": _field_order(source["field_order"], inside),
        "combing": _median(frame["combing"] for frame in inside),
        "frame_rate_num": rate.numerator if rate else None,
        "frame_rate_den": rate.denominator if rate else None,
        "first_pts": pts[0],
        "middle_pts": pts[middle_frame(pts, span.start_pts, span.end_pts)],
        "last_pts": pts[-1],
    }


def _times(source: Mapping[str, Any], span: SafeSpan) -> Times:
    if any(first < span.end_pts and end > span.start_pts for first, end in source["counted"]):
        return "counted"
    return "stored" if source["times"] == "stored" else "restarted"


def _frame_rate(source: Mapping[str, Any], span: SafeSpan, table: SignalTable) -> Fraction | None:
    nominal = Fraction(source["frame_rate_num"], source["frame_rate_den"]) if source["frame_rate_num"] else None
    first, end = np.searchsorted(table.pts, (span.start_pts, span.end_pts))
    ticks = int(table.pts[end - 1] - table.pts[first])
    return mean_rate(span.num_frames, ticks, table.time_base, nominal=nominal)


def _field_order(of_source: str, frames: Sequence[Mapping[str, Any]]) -> str:
    """Return the field order of a clip; frames may be interlaced although the stream does not say so."""
    if not any(frame["is_interlaced"] for frame in frames):
        return "progressive"
    return "unknown" if of_source == "progressive" else of_source


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known else None
