"""Exports: clips as files, as WebDataset shards, or as an index that points into the sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa

from videoldm.core.files import read_mapping
from videoldm.core.progress import progress
from videoldm.curation.executors.config import Limits
from videoldm.curation.executors.executor import Executor, Stopped
from videoldm.curation.export.cut_out import CutOutTask, cut_out, row_file
from videoldm.curation.export.tables import EXPORTED
from videoldm.curation.store.parts import write_part

INDEX_FILE = "clips.parquet"
NO_BYTES = frozenset({"flow_maps"})
"""Columns of annotations that are too large for an index."""


def export_files(
    clips: pa.Table, folder: Path, executor: Executor, *, shortest_s: Fraction, limits: Limits
) -> list[dict[str, Any]]:
    """One video a clip with its row as JSON beside it, and the index of all; goes on where it stopped.

    `clips` are rows of the wide view, with `size_bytes` and `mtime_ns` of their sources. Returns the rows that failed.
    """
    wanted = clips.select([name for name in clips.column_names if name not in NO_BYTES]).to_pylist()
    done = {clip["clip_id"]: row for clip in wanted if (row := _exported(folder, clip["clip_id"])) is not None}
    tasks = [
        CutOutTask(rows, folder, shortest_s)
        for rows in _by_source(clip for clip in wanted if clip["clip_id"] not in done)
    ]
    with progress("Exporting clips", sum(len(task.clips) for task in tasks)) as advance:
        for place, result in executor.run(cut_out, tasks, limits):
            rows = _stopped(tasks[place], result) if isinstance(result, Stopped) else result
            done |= {row["clip_id"]: row for row in rows}
            advance(len(rows))
    rows = [done[clip["clip_id"]] for clip in wanted]
    write_part(folder / INDEX_FILE, _joined(clips, rows), _joined(clips, rows).schema)
    return [row for row in rows if row.get("file") is None]


def export_index(clips: pa.Table, folder: Path) -> None:
    """An index alone: which span of which source each clip is, with all annotations."""
    write_part(folder / INDEX_FILE, clips, clips.schema)


def _exported(folder: Path, clip_id: str) -> dict[str, Any] | None:
    path = row_file(folder, clip_id)
    return read_mapping(path) if path.exists() else None


def _by_source(clips: Iterable[Mapping[str, Any]]) -> Iterator[Sequence[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for clip in clips:
        groups[clip["source_id"]].append(clip)
    yield from groups.values()


def _stopped(task: CutOutTask, result: Stopped) -> list[dict[str, Any]]:
    return [{"clip_id": clip["clip_id"], "reason": result.reason} for clip in task.clips]


def _joined(clips: pa.Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The clips with what came of each; columns of the export that the clips have too are called `exported_...`."""
    exported = pa.Table.from_pylist(list(rows), schema=EXPORTED).drop_columns(["clip_id", "source_id", "path"])
    for name in exported.column_names:
        column = f"exported_{name}" if name in clips.column_names else name
        clips = clips.append_column(column, exported[name])
    return clips
