"""Cutting clips out of their source without encoding them again, each proven against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.curation.store.batches import stamp
from videoldm.video.clip_proof import prove_clip
from videoldm.video.copy_span import CopySpan, NothingToCopy, copy_span
from videoldm.video.packets import PacketIndex, read_packet_index
from videoldm.video.stream_copy import clip_suffixes, copy_clip

SPAN_COLUMNS = ("clip_id", "source_id", "path", "time_base_num", "time_base_den")


@dataclass(frozen=True)
class CutOutTask:
    """Clips of one source, and the folder for their files."""

    clips: Sequence[Mapping[str, Any]]
    """Rows of the clips' table, with `size_bytes` and `mtime_ns` of the source."""
    folder: Path
    shortest_s: Fraction
    """Of what is left of a clip."""


def cut_out(task: CutOutTask) -> list[dict[str, Any]]:
    """Write each clip and, beside it, its row as JSON; what is there already is left as it is. Returns the rows."""
    path = task.clips[0]["path"]
    index: PacketIndex | InputError | None = None
    rows: list[dict[str, Any]] = []
    for clip in task.clips:
        if index is None:
            index = _index(path, clip)
        try:
            if isinstance(index, InputError):
                raise index
            row = _cut_out(clip, index, task)
        except InputError as error:
            row = _row(clip, reason=str(error).removeprefix(f"{path}: "))
        rows.append(row)
    return rows


def row_file(folder: Path, clip_id: str) -> Path:
    """Where the row of a clip lies beside the clip."""
    return folder / clip_id[:2] / f"{clip_id}.json"


def _index(path: str, clip: Mapping[str, Any]) -> PacketIndex | InputError:
    if stamp(path) != (clip["size_bytes"], clip["mtime_ns"]):
        return InputError(f"{path}: has changed or gone since it was curated: run videoldm curate run again")
    try:
        return read_packet_index(path, stream=clip["stream"])
    except InputError as error:
        return error


def _cut_out(clip: Mapping[str, Any], index: PacketIndex, task: CutOutTask) -> dict[str, Any]:
    span = copy_span(index, clip["start_pts"], clip["end_pts"])
    if isinstance(span, NothingToCopy):
        return _row(clip, reason=span.reason)
    left, wanted = (span.end_pts - span.start_pts) * span.time_base, (clip["end_pts"] - clip["start_pts"])
    if left < task.shortest_s:
        seconds = float(wanted * span.time_base)
        return _row(clip, reason=f"only {float(left):.2f} of {seconds:.2f} s can be copied, encode it with --exact")
    target = row_file(task.folder, clip["clip_id"]).with_suffix(clip_suffixes(index.codec)[0])
    target.parent.mkdir(parents=True, exist_ok=True)
    copy_clip(clip["path"], index, span, target)
    proof = prove_clip(clip["path"], index, span, target)
    if not proof.is_proven:
        target.unlink()
        return _row(clip, reason=f"its copy differs from the source: {'; '.join(proof.differences)}")
    row = _row(clip, file=target.relative_to(task.folder), span=span)
    write_json(target.with_suffix(".json"), row)
    return row


def _row(
    clip: Mapping[str, Any], *, file: Path | None = None, span: CopySpan | None = None, reason: str | None = None
) -> dict[str, Any]:
    known = {name: clip[name] for name in SPAN_COLUMNS}
    if span is None or file is None:
        return {**known, "reason": reason}
    return {
        **known,
        "file": file.as_posix(),
        "start_pts": span.start_pts,
        "end_pts": span.end_pts,
        "lost_start_ticks": span.start_pts - span.wanted_start_pts,
        "lost_end_ticks": span.wanted_end_pts - span.end_pts,
        "num_frames": span.num_frames,
    }
