"""Exports: clips as files, as WebDataset shards, or as an index that points into the sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from videoldm.core.files import read_mapping
from videoldm.core.progress import progress
from videoldm.curation.executors.executor import Executor, Stopped
from videoldm.curation.export.cut_out import CutOutTask, Cutting, by_source, cut_out, row_file
from videoldm.curation.export.shards import ShardTask, read_rows, remove_others, shards_of, write_shard
from videoldm.curation.export.tables import EXPORTED
from videoldm.curation.store.parts import write_part

INDEX_FILE = "clips.parquet"

Rows = list[dict[str, Any]]


def export_files(clips: pa.Table, folder: Path, executor: Executor, cutting: Cutting) -> Rows:
    """One video a clip with its row as JSON beside it, and the index of all; goes on where it stopped.

    `clips` are those of `rows_to_export`. Returns the rows of those that could not be exported.
    """
    wanted = clips.to_pylist()
    known = {clip["clip_id"]: _exported(folder, clip["clip_id"]) for clip in wanted}
    rows = {clip_id: row for clip_id, row in known.items() if row is not None and cutting.accepts(row)}
    left = by_source(clip for clip in wanted if clip["clip_id"] not in rows)
    tasks = [CutOutTask(group, folder, cutting) for group in left]
    for found in _carried_out(cut_out, tasks, executor, cutting):
        rows |= {row["clip_id"]: row for row in found}
    return _finish(clips, rows, folder)


def export_shards(clips: pa.Table, folder: Path, executor: Executor, cutting: Cutting, *, shard_size: int) -> Rows:
    """Tar files of `shard_size` clips each, as WebDataset reads them, and the index; otherwise as `export_files`."""
    rows: dict[str, dict[str, Any]] = {}
    tasks: list[ShardTask] = []
    groups = shards_of(clips.to_pylist(), shard_size)
    remove_others(folder, len(groups))
    for number, group in enumerate(groups):
        path = folder / f"{number:05d}.tar"
        known = read_rows(path, group, is_exact=cutting.is_exact)
        if known is None:
            tasks.append(ShardTask(group, path, cutting))
        else:
            rows |= {row["clip_id"]: row for row in known}
    for found in _carried_out(write_shard, tasks, executor, cutting):
        rows |= {row["clip_id"]: row for row in found}
    return _finish(clips, rows, folder)


def export_index(clips: pa.Table, folder: Path) -> None:
    """An index alone: which span of which source each clip is, with all annotations."""
    write_part(folder / INDEX_FILE, clips, clips.schema)


def _carried_out(function: Callable[[Any], Rows], tasks: Sequence[Any], executor: Executor, cutting: Cutting) -> Any:
    with progress("Exporting clips", sum(len(task.clips) for task in tasks)) as advance:
        for place, result in executor.run(function, tasks, cutting.limits):
            clips = tasks[place].clips
            if isinstance(result, Stopped):
                yield [{"clip_id": clip["clip_id"], "reason": result.reason} for clip in clips]
            else:
                yield result
            advance(len(clips))


def _exported(folder: Path, clip_id: str) -> dict[str, Any] | None:
    path = row_file(folder, clip_id)
    return read_mapping(path) if path.exists() else None


def _finish(clips: pa.Table, rows: Mapping[str, dict[str, Any]], folder: Path) -> Rows:
    """Write the index; columns of the export that the clips have too are called `exported_...` in it."""
    ordered = [rows[clip_id] for clip_id in clips["clip_id"].to_pylist()]
    exported = pa.Table.from_pylist(ordered, schema=EXPORTED).drop_columns(["clip_id", "source_id", "path"])
    index = clips
    for name in exported.column_names:
        column = f"exported_{name}" if name in clips.column_names else name
        index = index.append_column(column, exported[name])
    write_part(folder / INDEX_FILE, index, index.schema)
    return [row for row in ordered if row.get("file") is None]
