"""Exports: clips as files, as WebDataset shards, or as an index that points into the sources."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from videoldm.core.errors import InputError
from videoldm.core.files import folder_lock, remove_partials, write_json
from videoldm.core.progress import notice, progress
from videoldm.core.reading import read_mapping
from videoldm.core.wording import are, counted
from videoldm.curation.executors.executor import Executor, Stopped, check_goes_on
from videoldm.curation.export.cut_out import CutOutOptions, CutOutTask, by_source, cut_out, remove_other_clips, row_file
from videoldm.curation.export.shards import ShardTask, read_rows, remove_other_shards, shards_of, write_shard
from videoldm.curation.selection.manifest import CLIPS_FILE, find_selection
from videoldm.curation.store.dataset import Dataset
from videoldm.curation.store.parts import read_part, write_part
from videoldm.curation.store.view import open_dataset, quoted
from videoldm.dataset.config import INDEX_FILE, INFO_FILE

Rows = list[dict[str, Any]]
TOO_LARGE = ("BLOB", "FLOAT[", "DOUBLE[")
"""Types of columns that stay in the dataset: maps and embeddings."""
EXPORTED = pa.schema(
    [
        ("clip_id", pa.string()),
        # Path in the export's folder of the file, or of its shard; null if it could not be exported.
        ("file", pa.string()),
        # Why it could not be exported.
        ("reason", pa.string()),
        ("source_id", pa.string()),
        ("path", pa.string()),
        # Span that the file shows on the source's clock, and by how much it is shorter than the clip.
        ("start_pts", pa.int64()),
        ("end_pts", pa.int64()),
        ("time_base_num", pa.int64()),
        ("time_base_den", pa.int64()),
        ("lost_start_ticks", pa.int64()),
        ("lost_end_ticks", pa.int64()),
        ("num_frames", pa.int64()),
        # Whether packets were copied; otherwise frames were encoded again.
        ("is_copy", pa.bool_()),
        # HDR metadata of single frames that encoding again has lost, such as HDR10+.
        ("lost_metadata", pa.string()),
        # Position of the video's bytes in its shard.
        ("offset", pa.int64()),
        ("size", pa.int64()),
    ]
)


def export_files(clips: pa.Table, folder: Path, executor: Executor, options: CutOutOptions) -> Rows:
    """Write one video a clip with its row as JSON, and the index; an interrupted export is resumed.

    `clips` are those of `rows_to_export`. Returns the rows of clips that could not be exported.
    """
    wanted = clips.to_pylist()
    known = {clip["clip_id"]: _exported(folder, clip["clip_id"]) for clip in wanted}
    rows = {clip_id: row for clip_id, row in known.items() if row is not None and options.accepts(row)}
    left = by_source(clip for clip in wanted if clip["clip_id"] not in rows)
    tasks = [CutOutTask(group, folder, options) for group in left]
    for found in _carried_out(cut_out, tasks, executor, options):
        rows |= {row["clip_id"]: row for row in found}
    failed = _finish(clips, rows, folder)
    remove_other_clips(folder, [row["file"] for row in rows.values() if row.get("file") is not None])
    return failed


def export_shards(
    clips: pa.Table, folder: Path, executor: Executor, options: CutOutOptions, *, shard_size: int
) -> Rows:
    """Write tar files of `shard_size` clips each, as WebDataset reads them, and the index; see `export_files`."""
    rows: dict[str, dict[str, Any]] = {}
    tasks: list[ShardTask] = []
    groups = shards_of(clips.to_pylist(), shard_size)
    for number, group in enumerate(groups):
        path = folder / f"{number:05d}.tar"
        known = read_rows(path, group, options)
        if known is None:
            tasks.append(ShardTask(group, path, options))
        else:
            rows |= {row["clip_id"]: row for row in known}
    for found in _carried_out(write_shard, tasks, executor, options):
        rows |= {row["clip_id"]: row for row in found}
    failed = _finish(clips, rows, folder)
    remove_other_shards(folder, len(groups))
    return failed


def export_index(clips: pa.Table, folder: Path) -> None:
    """Write an index alone: the span and the source of each clip, with all annotations."""
    write_part(folder / INDEX_FILE, clips, clips.schema)


def _carried_out(
    function: Callable[[Any], Rows], tasks: Sequence[Any], executor: Executor, options: CutOutOptions
) -> Any:
    with progress("Exporting clips", sum(len(task.clips) for task in tasks)) as advance:
        for place, result in executor.run(function, tasks, options.limits):
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


def _report_removed_clips(index: Path, rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Report how many clips of an earlier export into the same folder are removed."""
    if not index.exists():
        return
    before = read_part(index, ["clip_id", "file"]).to_pylist()
    num_gone = sum(1 for row in before if row["file"] and not rows.get(row["clip_id"], {}).get("file"))
    if num_gone:
        notice(f"{index.parent}: removing {num_gone:,} of the {counted(len(before), 'clip')} of an earlier export")


def _report_lost_metadata(rows: Iterable[Mapping[str, Any]]) -> None:
    """Report how many clips had to be encoded without HDR metadata that H.264 files have no place for."""
    lost = [row["lost_metadata"] for row in rows if row.get("lost_metadata")]
    if lost:
        kinds = ", ".join(sorted({kind for one in lost for kind in one.split(", ")}))
        notice(f"{counted(len(lost), 'clip')} lost {kinds} metadata by encoding again; copies keep it")


def _report_lost_frames(whole: Iterable[int], rows: Iterable[Mapping[str, Any]]) -> None:
    """Report how many copies have fewer frames than their clips, whose numbers are `whole`."""
    pairs = zip(whole, rows, strict=True)
    lost = [num_frames - row["num_frames"] for num_frames, row in pairs if row.get("is_copy")]
    if any(lost):
        frames = f"{counted(sum(lost), 'frame')} of {counted(sum(map(bool, lost)), 'clip')} {are(sum(lost))} left out"
        notice(f"{frames}, as copies begin at key frames and may end early; --exact keeps all")


def _finish(clips: pa.Table, rows: Mapping[str, dict[str, Any]], folder: Path) -> Rows:
    """Write the index, in which columns of the export that clips have too are called `exported_...`."""
    _report_removed_clips(folder / INDEX_FILE, rows)
    _report_lost_metadata(rows.values())
    ordered = [rows[clip_id] for clip_id in clips["clip_id"].to_pylist()]
    _report_lost_frames(clips["num_frames"].to_pylist(), ordered)
    exported = pa.Table.from_pylist(ordered, schema=EXPORTED).drop_columns(["clip_id", "source_id", "path"])
    index = clips
    for name in exported.column_names:
        column = f"exported_{name}" if name in clips.column_names else name
        index = index.append_column(column, exported[name])
    write_part(folder / INDEX_FILE, index, index.schema)
    paths = zip(ordered, clips["path"].to_pylist(), strict=True)
    return [row | {"path": path} for row, path in paths if row.get("file") is None]


@contextlib.contextmanager
def export_folder(folder: Path, export_format: str) -> Generator[Path]:
    """Lock a new or empty folder, or one with an export of the same format; InputError for any other."""
    info = folder / INFO_FILE
    if info.exists():
        found = read_mapping(info).get("format")
        if found != export_format:
            raise InputError(f"{folder}: holds an export as {found}, give another folder for {export_format}")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something other than an export, give an empty or a new folder")
    else:
        write_json(info, {"format": export_format})
    with folder_lock(folder, "another export is writing to this folder, wait for it to end"):
        _clean(folder)
        yield folder


def _clean(folder: Path) -> None:
    """Remove files that a killed export left half-written."""
    for each, folders, _ in os.walk(folder):
        remove_partials(each)
        for name in [name for name in folders if name.startswith(".")]:
            shutil.rmtree(Path(each, name))
            folders.remove(name)


def rows_to_export(dataset: Dataset, selection: str | None) -> pa.Table:
    """Return rows of the wide view in the order of clip ids, with facts about their sources."""
    with open_dataset(dataset.view()) as opened:
        types = opened.types()
        columns = [f"d.{quoted(name)}" for name, kind in types.items() if not kind.startswith(TOO_LARGE)]
        columns += ["s.metadata", "s.size_bytes", "s.mtime_ns"]
        if "pixel_aspect_num" not in types:  # a dataset of an earlier version
            columns += [
                f"{_upright('num', 'den')} AS pixel_aspect_num",
                f"{_upright('den', 'num')} AS pixel_aspect_den",
            ]
        rows = opened.connection.sql(
            f"SELECT {', '.join(columns)} FROM dataset d JOIN sources s "  # noqa: S608
            "ON s.source_id = d.source_id AND s.path = d.path ORDER BY d.clip_id"
        ).to_arrow_table()
    if selection is not None:
        chosen = read_part(find_selection(dataset.folder, selection) / CLIPS_FILE, ["clip_id"])["clip_id"]
        rows = rows.filter(pc.field("clip_id").isin(chosen.combine_chunks()))
        num_gone = len(chosen) - len(rows)
        if num_gone:
            raise InputError(f"{selection}: {num_gone} of its clips are no longer in the dataset: select again")
    if len(rows) == 0:
        raise InputError(f"{dataset.folder}: has no clips to export")
    return rows


def _upright(stored: str, turned: str) -> str:
    """Return one side of a pixel after its frame was turned upright, as SQL."""
    return f"CASE WHEN s.rotation % 180 = 0 THEN s.pixel_aspect_{stored} ELSE s.pixel_aspect_{turned} END"
