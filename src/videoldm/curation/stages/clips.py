"""Stage from signals to the timeline of each source and its clips, which stay virtual until they are exported."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.compute as pc

from videoldm.core.errors import InputError
from videoldm.curation.config import ClipConfig
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import SignalTable
from videoldm.curation.cuts.timeline import SafeSpan, find_transitions, safe_spans
from videoldm.curation.cuts.transition import Transition
from videoldm.curation.executors.executor import CannotGoOn
from videoldm.curation.sidecar import middle_frame
from videoldm.curation.store.parts import read_rows, write_part
from videoldm.dataset.tables import CLIPS, TRANSITIONS

USABLE = ("whole", "damaged")
SHARED = (
    "source_id",
    "path",
    "time_base_num",
    "time_base_den",
    "width",
    "height",
    "frame_rate_num",
    "frame_rate_den",
)
"""Columns that clips take over from their source."""


@dataclass(frozen=True)
class ClipsTask:
    """A source that has been decoded, and the parts that hold its signals and frames."""

    source_id: str
    sources: Path
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
    is_of_source = pc.field("source_id") == task.source_id
    try:
        [source] = read_rows(task.sources, is_of_source & pc.field("state").isin(USABLE)).to_pylist()
        of_source = read_rows(task.signals, is_of_source).drop_columns(["source_id"])
        is_shown = is_of_source & (pc.field("kind") != "companion")
        kept = read_rows(task.sidecars, is_shown, ["pts"])["pts"].to_pylist()
    except InputError as error:
        raise CannotGoOn(str(error)) from error  # the part is broken, which is not the fault of this source
    time_base = f"{source['time_base_num']}/{source['time_base_den']}"
    table = SignalTable.from_arrow(of_source.replace_schema_metadata({"time_base": time_base}))
    transitions = _timeline(source, table, task.cuts)
    spans = safe_spans(transitions, table, source["end_pts"], task.cuts)
    shared = {name: source[name] for name in ("source_id", "time_base_num", "time_base_den")}
    return SourceRows(
        [{**shared, **_columns(one)} for one in transitions],
        list(_clips(source, spans, table, kept, task.config)),
    )


def write_clips(found: Sequence[SourceRows], transitions: Path, clips: Path, *, digest: str) -> None:
    """Write a batch's parts from the rows of its sources, in their order."""
    write_part(transitions, [row for one in found for row in one.transitions], TRANSITIONS, digest=digest)
    write_part(clips, [row for one in found for row in one.clips], CLIPS, digest=digest)


def clip_id(source_id: str, stream: int, start_pts: int, end_pts: int) -> str:
    """Return the name of a span of a source by its content: 32 hexadecimal digits."""
    return hashlib.blake2b(f"{source_id} {stream} {start_pts} {end_pts}".encode(), digest_size=16).hexdigest()


def divide(span: SafeSpan, pts: np.ndarray, time_base: Fraction, config: ClipConfig) -> list[SafeSpan]:
    """Divide a span into equal parts that are not too long; nothing if it is too short."""
    duration = (span.end_pts - span.start_pts) * time_base
    if duration < Fraction(config.min_s):
        return []
    num_parts = -(-duration // Fraction(config.max_s))
    first = int(np.searchsorted(pts, span.start_pts))
    edges = [first + span.num_frames * part // num_parts for part in range(num_parts + 1)]
    bounds = [int(pts[edge]) for edge in edges[:-1]] + [span.end_pts]
    return [
        SafeSpan(bounds[part], bounds[part + 1], edges[part + 1] - edges[part])
        for part in range(num_parts)
        if edges[part + 1] > edges[part]
    ]


def _timeline(source: Mapping[str, Any], table: SignalTable, config: CutConfig) -> list[Transition]:
    """Return the detected transitions, and the gaps where something is broken."""
    gaps = [Transition("damage", start, end, 1.0) for start, end in source["gaps"]]
    clear = [
        one
        for one in find_transitions(table, source["end_pts"], config)
        if not any(one.start_pts <= gap.end_pts and one.end_pts >= gap.start_pts for gap in gaps)
    ]
    return sorted([*clear, *gaps], key=lambda one: one.start_pts)


def _columns(one: Transition) -> dict[str, Any]:
    return {"kind": one.kind, "start_pts": one.start_pts, "end_pts": one.end_pts, "score": one.score}


def _clips(
    source: Mapping[str, Any],
    spans: Sequence[SafeSpan],
    table: SignalTable,
    kept: Sequence[int],
    config: ClipConfig,
) -> Iterator[dict[str, Any]]:
    shared = {name: source[name] for name in SHARED}
    parts = [part for span in spans for part in divide(span, table.pts, table.time_base, config)]
    for span in parts:
        inside = kept[bisect_left(kept, span.start_pts) : bisect_left(kept, span.end_pts)]
        if not inside:
            continue  # shorter than the interval of the sidecar, and not beside a cut
        yield {
            **shared,
            "clip_id": clip_id(source["source_id"], 0, span.start_pts, span.end_pts),
            "stream": 0,
            "start_pts": span.start_pts,
            "end_pts": span.end_pts,
            "num_frames": span.num_frames,
            "first_pts": inside[0],
            "middle_pts": inside[middle_frame(inside, span.start_pts, span.end_pts)],
            "last_pts": inside[-1],
        }
