"""Stage that decodes a source once: signals for the cuts, small frames for the annotators, and facts about the file."""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
from av.container import InputContainer
from av.video.stream import VideoStream

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder, write_json
from videoldm.curation.config import SidecarConfig
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import CutSignals
from videoldm.curation.inputs import local_path
from videoldm.curation.stages.collect import FRAMES_FILE, SIGNALS_FILE, SOURCE_FILE, write_table
from videoldm.curation.stages.keep import Keeper
from videoldm.curation.store.batches import Entry
from videoldm.dataset.tables import SIDECARS
from videoldm.video.decoding import decode_cheaply
from videoldm.video.interlacing import field_order
from videoldm.video.look import Look, LookReader
from videoldm.video.opening import (
    check_complete,
    described,
    frame_rate_of,
    open_damaged,
    pick_stream,
    time_base_of,
    video_streams,
)
from videoldm.video.undamaged import Gap, UndamagedFrames


@dataclass(frozen=True)
class ScanTask:
    """A file to decode, and the folder for the results."""

    entry: Entry
    folder: Path
    sidecar: SidecarConfig
    cuts: CutConfig
    stream: int | None = None
    """Number of the video stream, None for the default one."""


def scan(task: ScanTask) -> None:
    """Decode a file once and write a folder with its row, signals and small frames, atomically.

    A file that is not a video leaves a folder with the reason alone.
    """
    entry = task.entry
    assert entry.source_id is not None
    try:
        found = _Scan(task, entry.source_id)
        row = found.decode(local_path(entry.path))
        _check_unchanged(entry)
    except InputError as error:
        write_row(task.folder, refused(str(error).removeprefix(f"{entry.path}: ")))
        return
    _write(task.folder, row, found)


def _check_unchanged(entry: Entry) -> None:
    if not entry.is_as_it_was():
        raise InputError(f"{entry.path}: has changed while it was decoded, run again")


def refused(reason: str) -> dict[str, Any]:
    """Return the row of a file that is not a usable video."""
    return {"state": "refused", "reason": reason}


def write_row(folder: Path, row: Mapping[str, Any]) -> None:
    """Write the result of a file without frames."""
    with atomic_folder(folder, replace=True) as partial:
        write_json(partial / SOURCE_FILE, dict(row))


def _write(folder: Path, row: Mapping[str, Any], found: _Scan) -> None:
    signals = found.signal_table()
    with atomic_folder(folder, replace=True) as partial:
        (partial / SOURCE_FILE).write_text(json.dumps(dict(row), allow_nan=False), encoding="utf-8")
        write_table(partial / SIGNALS_FILE, signals)
        write_table(partial / FRAMES_FILE, pa.Table.from_pylist(found.frames, schema=SIDECARS))


class _Scan:
    """Results of one source."""

    def __init__(self, task: ScanTask, source_id: str) -> None:
        self.frames: list[dict[str, Any]] = []
        self._task, self._source_id = task, source_id
        self._signals = CutSignals(task.cuts)
        self._gaps: list[tuple[int, int, str]] = []
        self._looks: list[tuple[int, Look]] = []
        self._num_frames = 0
        self._end_pts = 0

    def signal_table(self) -> pa.Table:
        """Return the signals of every frame."""
        table = self._signals.finish().to_arrow().replace_schema_metadata(None)
        return table.add_column(0, "source_id", pa.array([self._source_id] * len(table)))

    def decode(self, path: str) -> dict[str, Any]:
        """Decode one video stream of the file completely, and return the source's row."""
        with _opened(path, self._task.stream) as (container, stream, cut_off):
            frames = UndamagedFrames(path, container, stream)
            order = field_order(stream)  # before the decoder changes it for each frame
            reason = self._follow(frames, LookReader(stream), time_base_of(path, stream))
            if not self._num_frames:
                raise InputError(f"{path}: has no frame that can be decoded")
            reason = reason or cut_off or (self._gaps[0][2] if self._gaps else None)
            return {
                "state": "whole" if reason is None else "damaged",
                "reason": reason,
                **self._columns_of_frames(frames),
                **_columns_of_file(path, container, stream),
                "field_order": order or self._order_of_frames(),
            }

    def _follow(self, frames: UndamagedFrames, looks: LookReader, time_base: Fraction) -> str | None:
        """Look at each frame once; return the reason if decoding ends with damage."""
        keeper = Keeper(self._source_id, self._task.sidecar, time_base)
        self.frames = keeper.frames
        gap: Gap | None = None
        for outcome in frames:
            if isinstance(outcome, Gap):
                gap = outcome
                continue
            frame, pts = outcome, outcome.pts or 0
            if gap is not None:
                self._gaps.append((self._end_pts, pts, gap.reason))
                gap = None
            look = looks.read(frame)
            is_new = not self._looks or self._looks[-1][1] is not look
            if is_new:
                self._looks.append((pts, look))
            may_be_cut = self._signals.add(frame) or is_new
            keeper.add(frame, look, may_be_cut=may_be_cut, change=self._signals.latest_change)
            self._num_frames += 1
            self._end_pts = pts + (frame.duration or frames.usual_ticks)
        keeper.finish()
        return None if gap is None else gap.reason

    def _order_of_frames(self) -> str:
        """Return the field order of a stream that does not say, by the tags of the frames that are kept."""
        return "unknown" if any(frame["is_interlaced"] for frame in self.frames) else "progressive"

    def _columns_of_frames(self, frames: UndamagedFrames) -> dict[str, Any]:
        start_pts, first = self._looks[0]
        return {
            **look_columns(first),
            "looks": [{"start_pts": pts, **look_columns(look)} for pts, look in self._looks],
            "times": frames.times,
            "counted": frames.counted,
            "start_pts": start_pts,
            "end_pts": self._end_pts,
            "num_frames": self._num_frames,
            "num_decoded": self._num_frames + frames.left_out.total(),
            "left_out": [{"reason": reason, "num_frames": count} for reason, count in sorted(frames.left_out.items())],
            "gaps": [[start, end] for start, end, _ in self._gaps],
        }


def look_columns(look: Look) -> dict[str, Any]:
    """Return the columns of a look, upright."""
    width, height = look.shown_size
    return {
        "width": width,
        "height": height,
        "rotation": look.turn.rotation,
        "is_mirrored": look.turn.is_mirrored,
        "pixel_aspect_num": look.shown_pixel_aspect.numerator,
        "pixel_aspect_den": look.shown_pixel_aspect.denominator,
        "pixel_format": look.pixel_format,
        "primaries": look.primaries,
        "transfer": look.transfer,
    }


def _columns_of_file(path: str, container: InputContainer, stream: VideoStream) -> dict[str, Any]:
    time_base, rate = time_base_of(path, stream), frame_rate_of(stream)
    streams = video_streams(container)
    return {
        "container": container.format.name,
        "codec": stream.codec_context.codec.canonical_name,
        "stream": streams.index(stream),
        "other_streams": [described(number, one) for number, one in enumerate(streams) if one is not stream],
        "frame_rate_num": rate.numerator if rate else None,
        "frame_rate_den": rate.denominator if rate else None,
        "time_base_num": time_base.numerator,
        "time_base_den": time_base.denominator,
        "num_audio_streams": len(container.streams.audio),
    }


@contextmanager
def _opened(path: str, number: int | None) -> Generator[tuple[InputContainer, VideoStream, str | None]]:
    """Open a video stream, with the reason if the file is truncated."""
    cut_off = None
    try:
        check_complete(path)
    except InputError as error:
        cut_off = str(error).removeprefix(f"{path}: ")
    with open_damaged(path) as (container, streams):
        stream = pick_stream(path, streams, number)
        decode_cheaply(stream)  # there is a worker for each core
        yield container, stream, cut_off
