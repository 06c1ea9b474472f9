"""Clips as WebDataset: tar files of `ID.mp4` beside `ID.json`, with the position of each clip."""

from __future__ import annotations

import io
import json
import tarfile
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoldm.core.files import atomic_file, write_json
from videoldm.core.reading import read_mapping
from videoldm.curation.export.cut_out import CutOutOptions, CutOutTask, by_source, cut_out


@dataclass(frozen=True)
class ShardTask:
    """Clips of one shard, and the file to write."""

    clips: Sequence[Mapping[str, Any]]
    """Rows of the wide view, with `size_bytes` and `mtime_ns` of the sources."""
    path: Path
    options: CutOutOptions


def write_shard(task: ShardTask) -> list[dict[str, Any]]:
    """Write the tar and, after it, its rows as JSON; return the rows, in the order of the clips."""
    rows_file(task.path).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=task.path.parent, prefix=f".{task.path.stem}-") as name:
        folder = Path(name)
        rows: dict[str, dict[str, Any]] = {}
        for clips in by_source(task.clips):
            found = cut_out(CutOutTask(clips, folder, task.options))
            rows |= {row["clip_id"]: row for row in found}
        with atomic_file(task.path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            placed = [_place(tar, clip, rows[clip["clip_id"]], folder, task.path.name) for clip in task.clips]
    write_json(rows_file(task.path), {**_options(task.options), "rows": placed})
    return placed


def rows_file(shard: Path) -> Path:
    """Return the path of the rows of a shard, which exist once the shard is whole."""
    return shard.with_suffix(".json")


def read_rows(shard: Path, clips: Sequence[Mapping[str, Any]], options: CutOutOptions) -> list[dict[str, Any]] | None:
    """Read the rows of a shard if it is whole and has these clips, cut out in this way; else None."""
    if not (shard.exists() and rows_file(shard).exists()):
        return None
    known = read_mapping(rows_file(shard))
    rows = known.pop("rows")
    is_same = known == _options(options) and [row["clip_id"] for row in rows] == [clip["clip_id"] for clip in clips]
    return rows if is_same else None


def _options(options: CutOutOptions) -> dict[str, Any]:
    """Return what decides the content of a shard, beside its clips."""
    return {"is_exact": options.is_exact, "shortest_s": str(options.shortest_s)}


def remove_other_shards(folder: Path, num_shards: int) -> None:
    """Remove shards of an earlier export that had more of them."""
    for path in folder.glob("[0-9]*.tar"):
        if path.stem.isdecimal() and int(path.stem) >= num_shards:
            rows_file(path).unlink(missing_ok=True)
            path.unlink()


def _place(
    tar: tarfile.TarFile, clip: Mapping[str, Any], row: dict[str, Any], folder: Path, shard: str
) -> dict[str, Any]:
    """Add a clip to the tar, and the position and number of its bytes to its row."""
    if row.get("file") is None:
        return row
    path = folder / row["file"]
    known = {**{name: value for name, value in clip.items() if value is not None}, **row, "file": shard}
    known["metadata"] = dict(clip["metadata"] or ())
    _add(tar, f"{row['clip_id']}.json", json.dumps(known, default=str).encode())
    begin = tar.offset + tarfile.BLOCKSIZE
    size = path.stat().st_size
    _add(tar, f"{row['clip_id']}{path.suffix}", path.read_bytes())
    return {**row, "file": shard, "offset": begin, "size": size}


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # without time or owner, so that equal clips give equal shards
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def shards_of(rows: Iterable[Mapping[str, Any]], size: int) -> list[list[Mapping[str, Any]]]:
    """Divide the clips into shards of `size`."""
    clips = list(rows)
    return [clips[start : start + size] for start in range(0, len(clips), size)]
