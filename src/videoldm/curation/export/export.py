"""Exports: clips as files, as WebDataset shards, or as an index that points into the sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from videoldm.core.files import read_mapping
from videoldm.core.progress import notice, progress
from videoldm.curation.executors.executor import Executor, Stopped, check_goes_on
from videoldm.curation.export.cut_out import CutOutTask, Cutting, by_source, cut_out, remove_other_clips, row_file
from videoldm.curation.export.shards import ShardTask, read_rows, remove_other_shards, shards_of, write_shard
from videoldm.curation.export.tables import EXPORTED
from videoldm.curation.store.parts import read_part, write_part
from videoldm.dataset.export_files import INDEX_FILE

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
    failed = _finish(clips, rows, folder)
    remove_other_clips(folder, [row["file"] for row in rows.values() if row.get("file") is not None])
    return failed


def export_shards(clips: pa.Table, folder: Path, executor: Executor, cutting: Cutting, *, shard_size: int) -> Rows:
    """Tar files of `shard_size` clips each, as WebDataset reads them, and the index; otherwise as `export_files`."""
    rows: dict[str, dict[str, Any]] = {}
    tasks: list[ShardTask] = []
    groups = shards_of(clips.to_pylist(), shard_size)
    for number, group in enumerate(groups):
        path = folder / f"{number:05d}.tar"
        known = read_rows(path, group, cutting)
        if known is None:
            tasks.append(ShardTask(group, path, cutting))
        else:
            rows |= {row["clip_id"]: row for row in known}
    for found in _carried_out(write_shard, tasks, executor, cutting):
        rows |= {row["clip_id"]: row for row in found}
    failed = _finish(clips, rows, folder)
    remove_other_shards(folder, len(groups))
    return failed


def export_index(clips: pa.Table, folder: Path) -> None:
    """An index alone: which span of which source each clip is, with all annotations."""
    write_part(folder / INDEX_FILE, clips, clips.schema)


def _carried_out(function: Callable[[Any], Rows], tasks: Sequence[Any], executor: Executor, cutting: Cutting) -> Any:
    with progress("Exporting clips", sum(len(task.clips) for task in tasks)) as advance:
        for place, result in executor.run(function, tasks, cutting.limits):
            clips = tasks[place].clips
            check_goes_on(result)
            if isinstance(result, Stopped):
                yield [{"clip_id": clip["clip_id"], "reason": result.reason} for clip in clips]
            else:
                yield result
            advance(len(clips))


def _exported(folder: Path, clip_id: str) -> dict[str, Any] | None:
    path = row_file(folder, clip_id)
    row = read_mapping(path) if path.exists() else None
    return row if row is not None and (folder / row["file"]).exists() else None


def _tell_what_goes(index: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Say how many clips of an earlier export into the same folder this one does not have."""
    if not index.exists():
        return
    before = read_part(index, ["clip_id", "file"]).to_pylist()
    num_gone = sum(1 for row in before if row["file"] and not rows.get(row["clip_id"], {}).get("file"))
    if num_gone:
        notice(f"{index.parent}: removing {num_gone:,} of {len(before):,} clips that an earlier export left there")


def _finish(clips: pa.Table, rows: Mapping[str, dict[str, Any]], folder: Path) -> Rows:
    """Write the index; columns of the export that the clips have too are called `exported_...` in it."""
    _tell_what_goes(folder / INDEX_FILE, rows)
    ordered = [rows[clip_id] for clip_id in clips["clip_id"].to_pylist()]
    exported = pa.Table.from_pylist(ordered, schema=EXPORTED).drop_columns(["clip_id", "source_id", "path"])
    index = clips
    for name in exported.column_names:
        column = f"exported_{name}" if name in clips.column_names else name
        index = index.append_column(column, exported[name])
    write_part(folder / INDEX_FILE, index, index.schema)
    paths = zip(ordered, clips["path"].to_pylist(), strict=True)
    return [row | {"path": path} for row, path in paths if row.get("file") is None]
