"""Stage that decodes a source once: signals for the cuts, small frames for the annotators, and facts about the file."""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pyarrow as pa
from av.container import InputContainer
from av.video.stream import VideoStream

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder, write_json
from videoldm.curation.config import SidecarConfig
from videoldm.curation.cuts.config import CutConfig
from videoldm.curation.cuts.signals import CutSignals
from videoldm.curation.inputs import local_path
from videoldm.curation.sidecar import encode_frame
from videoldm.curation.stages.collect import FRAMES_FILE, SIGNALS_FILE, SOURCE_FILE
from videoldm.curation.store.batches import Entry
from videoldm.curation.store.parts import write_part
from videoldm.dataset.tables import SIDECARS
from videoldm.video.display import display_matrix, orientation
from videoldm.video.opening import (
    Gap,
    check_complete,
    decode_undamaged,
    frame_rate_of,
    open_damaged,
    pick_stream,
    time_base_of,
)
from videoldm.video.probe import shown_size


@dataclass(frozen=True)
class ScanTask:
    """A file to decode, and the folder for the results."""

    entry: Entry
    folder: Path
    sidecar: SidecarConfig
    cuts: CutConfig


def scan(task: ScanTask) -> None:
    """Decode a file once and write a folder with its row, signals and small frames, atomically.

    A file that is not a video leaves a folder with the reason alone.
    """
    entry = task.entry
    assert entry.source_id is not None
    try:
        found = _Scan(entry.source_id, task.sidecar, task.cuts)
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
        write_json(partial / SOURCE_FILE, dict(row))
        write_part(partial / SIGNALS_FILE, signals, signals.schema)
        write_part(partial / FRAMES_FILE, found.frames, SIDECARS)


class _Scan:
    """Results of one source."""

    def __init__(self, source_id: str, sidecar: SidecarConfig, cuts: CutConfig) -> None:
        self.frames: list[dict[str, Any]] = []
        self._source_id = source_id
        self._config = sidecar
        self._signals = CutSignals(cuts)
        self._gaps: list[tuple[int, int, str]] = []
        self._num_frames = 0
        self._end_pts = 0

    def signal_table(self) -> pa.Table:
        """Return the signals of every frame."""
        table = self._signals.finish().to_arrow().replace_schema_metadata(None)
        return table.add_column(0, "source_id", pa.array([self._source_id] * len(table)))

    def decode(self, path: str) -> dict[str, Any]:
        """Decode the file's first video stream completely, and return its row."""
        with _opened(path) as (container, stream, cut_off):
            time_base = time_base_of(path, stream)
            keeper = _Keeper(self.frames, self._source_id, self._config, stream, time_base)
            first = last = None
            gap: Gap | None = None
            for outcome in decode_undamaged(container, stream):
                if isinstance(outcome, Gap):
                    gap = outcome
                    continue
                frame, pts = outcome, outcome.pts or 0
                if last is not None and pts <= (last.pts or 0):
                    continue  # its time is already taken
                first = first or frame
                if gap is not None:
                    self._gaps.append((self._end_pts, pts, gap.reason))
                    gap = None
                may_be_cut = self._signals.add(frame)
                keeper.add(frame, last, may_be_cut=may_be_cut, change=self._signals.latest_change)
                self._num_frames += 1
                self._end_pts = pts + (frame.duration or _usual_ticks(stream, time_base))
                last = frame
            if first is None or last is None:
                raise InputError(f"{path}: has no frame that can be decoded")
            keeper.finish(last)
            reason = gap.reason if gap is not None else cut_off or (self._gaps[0][2] if self._gaps else None)
            return self._row(container, stream, first, time_base, reason)

    def _row(
        self,
        container: InputContainer,
        stream: VideoStream,
        first: av.VideoFrame,
        time_base: Fraction,
        reason: str | None,
    ) -> dict[str, Any]:
        turn = orientation(display_matrix(first))
        width, height = shown_size(first, turn)
        aspect, rate = stream.sample_aspect_ratio or Fraction(1), frame_rate_of(stream)
        return {
            "state": "whole" if reason is None else "damaged",
            "reason": reason,
            "container": container.format.name,
            "codec": stream.codec_context.codec.canonical_name,
            "pixel_format": first.format.name,
            "width": width,
            "height": height,
            "rotation": turn.rotation,
            "is_mirrored": turn.is_mirrored,
            "pixel_aspect_num": aspect.numerator,
            "pixel_aspect_den": aspect.denominator,
            "frame_rate_num": rate.numerator if rate else None,
            "frame_rate_den": rate.denominator if rate else None,
            "start_pts": first.pts,
            "end_pts": self._end_pts,
            "time_base_num": time_base.numerator,
            "time_base_den": time_base.denominator,
            "num_frames": self._num_frames,
            "num_audio_streams": len(container.streams.audio),
            "gaps": [[start, end] for start, end, _ in self._gaps],
        }


class _Keeper:
    """Chooses the frames of the sidecar: one in each interval, a companion if quick, both sides of each cut."""

    def __init__(
        self,
        frames: list[dict[str, Any]],
        source_id: str,
        config: SidecarConfig,
        stream: VideoStream,
        time_base: Fraction,
    ) -> None:
        self._frames = frames
        self._source_id = source_id
        self._config = config
        self._aspect = stream.sample_aspect_ratio or Fraction(1)
        self._interval_ticks = Fraction(config.every_s) / time_base
        self._edge_ticks = 1 / (Fraction(config.max_edges_per_s) * time_base)
        self._start: int | None = None
        self._next_edge: Fraction = Fraction(-(2**62))
        self._companion_ticks = config.companion_s / time_base
        self._next_companion: Fraction | None = None

    def add(self, frame: av.VideoFrame, before: av.VideoFrame | None, *, may_be_cut: bool, change: float) -> None:
        """Add the next frame; `before` is the one before it, `change` the mean difference of their levels."""
        pts = frame.pts or 0
        if self._start is None:
            self._start = self._next = pts
        if may_be_cut and before is not None and pts >= self._next_edge:
            self._keep(before, "edge")
            self._keep(frame, "edge")
            self._next_edge = pts + self._edge_ticks
        if pts >= self._next:
            self._keep(frame, "sampled")
            intervals = math.floor((pts - self._start) / self._interval_ticks) + 1
            self._next = self._start + math.ceil(intervals * self._interval_ticks)
            self._next_companion = pts + self._companion_ticks
        elif self._next_companion is not None and pts >= self._next_companion:
            self._next_companion = None
            if change >= self._config.companion_change:
                self._keep(frame, "companion")

    def finish(self, last: av.VideoFrame) -> None:
        """Add the last frame of all."""
        self._keep(last, "edge")

    def _keep(self, frame: av.VideoFrame, kind: str) -> None:
        if self._frames and self._frames[-1]["pts"] == frame.pts:
            if kind == "companion":
                return
            if self._frames[-1]["kind"] != "companion":
                self._frames[-1]["kind"] = "sampled" if kind == "sampled" else self._frames[-1]["kind"]
                return
            self._frames.pop()  # it is smaller
        self._frames.append(
            {
                "source_id": self._source_id,
                "pts": frame.pts,
                "kind": kind,
                "jpeg": encode_frame(frame, self._aspect, self._config, is_companion=kind == "companion"),
            }
        )


@contextmanager
def _opened(path: str) -> Generator[tuple[InputContainer, VideoStream, str | None]]:
    """Open the first video stream, with the reason if the file is truncated."""
    cut_off = None
    try:
        check_complete(path)
    except InputError as error:
        cut_off = str(error).removeprefix(f"{path}: ")
    with open_damaged(path) as (container, streams):
        stream = pick_stream(path, streams, 0)
        # One thread takes the least processor time, and there is a worker for each core.
        stream.codec_context.thread_count = 1
        yield container, stream, cut_off


def _usual_ticks(stream: VideoStream, time_base: Fraction) -> int:
    rate = frame_rate_of(stream)
    return max(1, round(1 / (rate * time_base))) if rate else 1
