"""Small datasets of made-up rows, as Parquet parts on disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from videoldm.curation.selection.config import Selection, split_filters
from videoldm.curation.store.view import DatasetView
from videoldm.dataset.tables import CLIPS, SIDECARS, SOURCES, annotation_schema


def write_rows(path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> Path:
    """One part; columns that a row does not name are null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([dict(row) for row in rows], schema=schema), path)
    return path


def clip_row(clip_id: str, source_id: str = "s0", *, start_pts: int = 0, num_frames: int = 48) -> dict[str, Any]:
    """A clip of 24 frames a second, its ticks are 1/24 s."""
    return {
        "clip_id": clip_id,
        "source_id": source_id,
        "path": f"raw/{source_id}.mp4",
        "stream": 0,
        "start_pts": start_pts,
        "end_pts": start_pts + num_frames,
        "time_base_num": 1,
        "time_base_den": 24,
        "num_frames": num_frames,
        "width": 640,
        "height": 360,
        "frame_rate_num": 24,
        "frame_rate_den": 1,
        "first_pts": start_pts,
        "middle_pts": start_pts + num_frames // 2,
        "last_pts": start_pts + num_frames - 1,
    }


def made_view(
    folder: Path,
    clips: Sequence[Mapping[str, Any]],
    annotations: Mapping[str, tuple[Mapping[str, pa.DataType], Sequence[Mapping[str, Any]]]] | None = None,
    *,
    sources: Sequence[Mapping[str, Any]] = (),
    sidecars: Sequence[Mapping[str, Any]] = (),
    num_parts: int = 1,
) -> DatasetView:
    """A dataset of these rows; an annotation is its value columns and its rows. Parts interleave the rows."""

    def parts(name: str, schema: pa.Schema, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
        return [
            write_rows(folder / name / f"{part}.parquet", schema, rows[part::num_parts]) for part in range(num_parts)
        ]

    return DatasetView(
        clips=parts("clips", CLIPS, clips),
        sources=parts("sources", SOURCES, sources),
        sidecars=parts("sidecars", SIDECARS, sidecars),
        annotations={
            name: parts(f"annotations/{name}", annotation_schema(pa.schema(list(columns.items()))), rows)
            for name, (columns, rows) in (annotations or {}).items()
        },
    )


def typed(words: Sequence[str]) -> Selection:
    """The selection that words of a command line mean."""
    filters, others = split_filters(words)
    return Selection(filters=filters, keep_missing="--keep-missing" in others)


def valued(column: str, values: Mapping[str, Any]) -> tuple[dict[str, pa.DataType], list[dict[str, Any]]]:
    """An annotation with one real number for each clip; None is missing because the clip is dark."""
    rows = [
        {"clip_id": clip_id, "missing": "too dark" if value is None else None, column: value}
        for clip_id, value in values.items()
    ]
    return {column: pa.float64()}, rows
