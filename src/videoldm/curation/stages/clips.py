"""From signals to the timeline of each source and to its clips, which stay virtual until they are exported."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc

from videoldm.curation.config import ClipConfig
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import SignalTable
from videoldm.curation.cuts.timeline import SafeSpan, find_transitions, safe_spans
from videoldm.curation.cuts.transition import Transition
from videoldm.curation.sidecar import middle_frame
from videoldm.curation.store.parts import read_part, read_rows, write_part
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
"""Columns that clips have from their source."""


@dataclass(frozen=True)
class ClipsTask:
    """The parts of one batch to read, and those to write."""

    sources: Path
    signals: Path
    sidecars: Path
    transitions: Path
    clips: Path
    digest: str
    """Of what the sources were made from."""
    cuts: CutConfig
    config: ClipConfig


def make_clips(task: ClipsTask) -> None:
    """Write the batch's timeline and clips."""
    kept = read_part(task.sidecars, ["source_id", "pts"])
    transitions: list[dict[str, Any]] = []
    clips: list[dict[str, Any]] = []
    for source in read_part(task.sources).to_pylist():
        if source["state"] not in USABLE:
            continue
        of_source = read_rows(task.signals, pc.field("source_id") == source["source_id"]).drop_columns(["source_id"])
        time_base = f"{source['time_base_num']}/{source['time_base_den']}"
        table = SignalTable.from_arrow(of_source.replace_schema_metadata({"time_base": time_base}))
        found = _timeline(source, table, task.cuts)
        span = {name: source[name] for name in ("source_id", "time_base_num", "time_base_den")}
        transitions += [{**span, **_columns(one)} for one in found]
        frames = kept.filter(pc.field("source_id") == source["source_id"])["pts"].to_pylist()
        clips += _clips(source, safe_spans(found, table, source["end_pts"], task.cuts), table, frames, task.config)
    write_part(task.transitions, transitions, TRANSITIONS, digest=task.digest)
    write_part(task.clips, clips, CLIPS, digest=task.digest)


def clip_id(source_id: str, stream: int, start_pts: int, end_pts: int) -> str:
    """Names a span of a source by its content: 32 hexadecimal digits."""
    return hashlib.blake2b(f"{source_id} {stream} {start_pts} {end_pts}".encode(), digest_size=16).hexdigest()


def divide(span: SafeSpan, pts: np.ndarray, time_base: Fraction, config: ClipConfig) -> list[SafeSpan]:
    """The span in equal parts that are not too long, or nothing if it is too short."""
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
    """What was detected, and the gaps where something is broken."""
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
            continue  # shorter than the interval of the sidecar, and no side of a cut
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
