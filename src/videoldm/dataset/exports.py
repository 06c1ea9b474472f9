"""Exports that `videoldm curate export` wrote, as sources of clips.

Each has `export.json`, which names the format, and `clips.parquet`, one row a clip: where its frames are, and all
annotations. Frames lie in the clips' sources (parquet-index), in a file for each clip (files), or in tars, where a
clip's bytes are found by their offset (webdataset).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import UInt8

from videoldm.core.errors import InputError
from videoldm.core.reading import read_mapping
from videoldm.dataset.config import DATASET_FILE, FORMATS, GIVEN_CAPTION, INDEX_FILE, INFO_FILE, ExportFormat
from videoldm.dataset.source import CaptionKind, SourceClip
from videoldm.video.read import frames_at, start_time
from videoldm.video.steady import Times
from videoldm.video.time import Timestamp

if TYPE_CHECKING:
    import pyarrow as pa

CAPTIONS: Mapping[CaptionKind, str] = {"image": "image_caption", "video": "video_caption", "summary": "summary"}
"""Annotation that each kind of caption comes from."""

_SPAN = ("start_pts", "end_pts", "time_base_num", "time_base_den")
_CLIP = ("clip_id", "source_id", "path", "stream", *_SPAN, "width", "height", "frame_rate_num", "frame_rate_den")
_STAMP = ("size_bytes", "mtime_ns")
_CAPTION = tuple(column for name in CAPTIONS.values() for column in (name, f"{name}_is_caught"))
_PIXEL = ("pixel_aspect_num", "pixel_aspect_den")
_KNOWN = ("motion", "metadata", "times", *_PIXEL, *_CAPTION)
_IN_FILE = ("file", "reason", "exported_start_pts", "exported_end_pts", "is_copy")
_IN_TAR = ("offset", "size")
_PRESENCE = ("clip_id", "path", *_STAMP, "file", "reason", *_IN_TAR)
"""Columns that say whether a clip's frames exist."""
_LOCATION = ("path", *_STAMP)
"""Columns that may change while the clips stay the same."""


@dataclass(frozen=True)
class LeftOut:
    """A clip that cannot be used."""

    name: str
    reason: str


class ExportedClips:
    """The clips of an export; those whose frames are missing or have changed are in `left_out` instead."""

    def __init__(self, folder: Path, export_format: ExportFormat, table: pa.Table) -> None:
        self._folder, self._format = folder, export_format
        self.left_out: list[LeftOut] = []
        is_there: list[bool] = []
        for row in _rows(table.select([name for name in _PRESENCE if name in table.column_names])):
            reason = self._why_not(row)
            is_there.append(reason is None)
            if reason is not None:
                self.left_out.append(LeftOut(_name(row), reason))
        self._table = table.filter(is_there)

    @property
    def fingerprint(self) -> str:
        """Hash of the clips and the facts about them, without their location."""
        digest = hashlib.blake2b(digest_size=20)
        for row in _rows(self._table):
            known = {name: value for name, value in row.items() if name not in _LOCATION}
            if self._format == "files":
                known["size"] = _size(self._folder / row["file"])
            digest.update(json.dumps(known, sort_keys=True).encode())
        return digest.hexdigest()

    @property
    def videos(self) -> frozenset[str]:
        """Hashes of the videos that the clips were cut from."""
        return frozenset(self._table["source_id"].unique().to_pylist())

    def __len__(self) -> int:
        return len(self._table)

    def clips(self) -> Iterator[SourceClip]:
        """Iterate over the facts about all clips, in their order."""
        return map(self._clip, _rows(self._table))

    def clip(self, index: int) -> SourceClip:
        """Return the facts about one clip."""
        return self._clip(self._row(index))

    def frames(self, index: int, times: Sequence[Fraction]) -> list[UInt8[np.ndarray, "h w 3"]]:
        """Decode the frames shown at these times from the clip's source, file or tar."""
        row = self._row(index)
        match self._format:
            case "parquet-index":
                path, first, end = row["path"], _timestamp(row, "start_pts"), _timestamp(row, "end_pts")
                reason = self._why_not(row)
                if reason is not None:
                    raise InputError(f"{path}: {reason}")
                return _read(path, first.time, times, end=end, stream=row["stream"], clock=row.get("times") or "stored")
            case "files":
                path = self._folder / row["file"]
                return _read(path, start_time(path), times)
            case _:
                with tempfile.NamedTemporaryFile(suffix=".video") as copy:  # decoders need a separate file
                    copy.write(_bytes_in_tar(self._folder / row["file"], row))
                    copy.flush()
                    return _read(copy.name, start_time(copy.name), times)

    def _row(self, index: int) -> dict[str, Any]:
        return self._table.slice(index, 1).to_pylist()[0]

    def _clip(self, row: Mapping[str, Any]) -> SourceClip:
        start, end = row[f"{self._exported}start_pts"], row[f"{self._exported}end_pts"]
        ticks, seconds = row["time_base_num"], row["time_base_den"]
        encoding = "encoded" if row.get("is_copy") is False else "as it is"
        pixel_aspect = _ratio(*map(row.get, _PIXEL)) or Fraction(1)
        shape = "" if pixel_aspect == 1 else f" pixels {pixel_aspect}"
        return SourceClip(
            name=_name(row),
            video=row["source_id"],
            content=f"{row['source_id']} {row['stream']} {start} {end} {ticks}/{seconds} {encoding}{shape}",
            width=row["width"],
            height=row["height"],
            duration_s=Fraction((end - start) * ticks, seconds),
            frame_rate=_ratio(row["frame_rate_num"], row["frame_rate_den"]),
            pixel_aspect=pixel_aspect,
            captions=_captions(row),
            motion=row.get("motion"),
        )

    @property
    def _exported(self) -> str:
        """Prefix of the columns with the span of a clip that exists."""
        return "" if self._format == "parquet-index" else "exported_"

    def _why_not(self, row: Mapping[str, Any]) -> str | None:
        if self._format == "parquet-index":
            return _why_not_as_it_was(row)
        if row["file"] is None:
            return f"was not exported: {row['reason']}"
        size = _size(self._folder / row["file"])
        if size is None:
            return f"{row['file']} is missing: export again"
        if self._format == "webdataset" and size < row["offset"] + row["size"]:
            return f"{row['file']} is truncated: export again"
        return None


def _captions(row: Mapping[str, Any]) -> dict[CaptionKind, str]:
    """Return the captions that are not empty and were not caught by a guard."""
    found: dict[CaptionKind, Any] = {
        kind: row.get(name) for kind, name in CAPTIONS.items() if not row.get(f"{name}_is_caught")
    }
    found["given"] = dict(row.get("metadata") or ()).get(GIVEN_CAPTION)
    return {kind: text for kind, text in found.items() if text and text.strip()}


def open_export(folder: Path) -> ExportedClips:
    """Open an export; raises InputError for a folder that is not one, or an index that cannot be read."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InputError('reading exported clips needs pyarrow: pip install "videoldm[train]"')
    export_format = _format_of(folder)
    wanted = {*_CLIP, *_KNOWN, *(_STAMP if export_format == "parquet-index" else _IN_FILE)}
    if export_format == "webdataset":
        wanted |= set(_IN_TAR)
    table = _read_index(folder / INDEX_FILE, wanted)
    missing = sorted(wanted - set(_KNOWN) - set(table.column_names))
    if missing:
        raise InputError(f"{folder / INDEX_FILE}: has no column {missing[0]}, export again")
    if len(table) == 0:
        raise InputError(f"{folder}: has no clips, export a selection that is not empty")
    return ExportedClips(folder, export_format, table)


def _format_of(folder: Path) -> ExportFormat:
    if not (folder / INFO_FILE).is_file():
        if (folder / DATASET_FILE).is_file():
            how = f"videoldm curate export {folder} -o index/ --format parquet-index makes one of this dataset"
        else:
            how = "videoldm curate export makes one"
        if not folder.exists():
            raise InputError(f"{folder}: does not exist, it should be an export of curated clips: {how}")
        raise InputError(f"{folder}: is not an export of curated clips: {how}")
    found = read_mapping(folder / INFO_FILE).get("format")
    if found not in FORMATS:
        raise InputError(f"{folder}: holds an export as {found!r}, it should be {', '.join(FORMATS)}")
    return cast("ExportFormat", found)


def _read_index(path: Path, wanted: set[str]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path}: is missing, the export has not finished: run it again")
    try:
        file = pq.ParquetFile(path)
        return file.read(columns=[name for name in file.schema_arrow.names if name in wanted])
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path}: cannot be read as Parquet, export again: {' '.join(str(error).split())}") from None


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=1024):
        yield from batch.to_pylist()


def _name(row: Mapping[str, Any]) -> str:
    return f"clip {row['clip_id']} of {row['path']}"


def _timestamp(row: Mapping[str, Any], name: str) -> Timestamp:
    return Timestamp(row[name], Fraction(row["time_base_num"], row["time_base_den"]))


def _ratio(numerator: int | None, denominator: int | None) -> Fraction | None:
    return Fraction(numerator, denominator) if numerator and denominator else None


def _why_not_as_it_was(row: Mapping[str, Any]) -> str | None:
    if "://" in row["path"]:
        return "its source is a URL: export its clips as files"
    found = _stamp(row["path"])
    if found is None:
        return "its source is gone: restore it, or export other clips"
    if found != (row["size_bytes"], row["mtime_ns"]):
        return "its source has changed since it was curated: run videoldm curate run and export again"
    return None


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116 - a Path for each of a million clips takes longer than this
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns


def _size(path: Path) -> int | None:
    found = _stamp(str(path))
    return None if found is None else found[0]


def _bytes_in_tar(path: Path, row: Mapping[str, Any]) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(row["offset"])
            return file.read(row["size"])
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def _read(
    path: str | Path,
    begin: Fraction,
    times: Sequence[Fraction],
    *,
    end: Timestamp | None = None,
    stream: int | None = None,
    clock: Times = "stored",
) -> list[UInt8[np.ndarray, "h w 3"]]:
    frames = frames_at(path, [begin + time for time in times], end=end, stream=stream, clock=clock)
    return [frame.pixels for frame in frames]
