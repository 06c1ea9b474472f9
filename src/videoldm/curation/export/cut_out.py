"""Cutting clips out of their source: packets are copied and the copy is proven, or frames are encoded again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError, OutputError
from videoldm.core.files import write_json
from videoldm.curation.config import Limits
from videoldm.curation.inputs import local_path
from videoldm.curation.store.batches import stamp
from videoldm.video.clip_file import StoredShape, clip_suffixes, copy_clip, encode_clip
from videoldm.video.clip_proof import prove_clip
from videoldm.video.copy_span import CopySpan, NothingToCopy, copy_span
from videoldm.video.packets import PacketIndex, read_packet_index
from videoldm.video.time import Timestamp

SPAN_COLUMNS = ("clip_id", "source_id", "path", "time_base_num", "time_base_den")

_CLIP_FILE = re.compile(r"\.?[0-9a-f]{32}\.\w+")


@dataclass(frozen=True)
class CutOutOptions:
    """Options of cutting clips out of their sources."""

    shortest_s: Fraction = Fraction(1)
    """Clips of which less can be copied are left out."""
    is_exact: bool = False
    """Encode again clips that cannot be copied whole."""
    limits: Limits = field(default_factory=Limits)

    def accepts(self, row: Mapping[str, Any]) -> bool:
        """Return whether a clip that was exported before is as it would be now."""
        if self.is_exact:
            return not (row["lost_start_ticks"] or row["lost_end_ticks"])
        length = row["end_pts"] - row["start_pts"]
        return row["is_copy"] and length * Fraction(row["time_base_num"], row["time_base_den"]) >= self.shortest_s


@dataclass(frozen=True)
class CutOutTask:
    """Clips of one source, and the folder for their files."""

    clips: Sequence[Mapping[str, Any]]
    """Rows of the clips' table, with `size_bytes` and `mtime_ns` of the source."""
    folder: Path
    options: CutOutOptions


def cut_out(task: CutOutTask) -> list[dict[str, Any]]:
    """Write each clip and, beside it, its row as JSON; return the rows."""
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
        except OutputError:
            raise
        except InputError as error:
            row = _row(clip, reason=str(error).removeprefix(f"{path}: "))
        rows.append(row)
    return rows


def row_file(folder: Path, clip_id: str) -> Path:
    """Return the path of a clip's row, beside the clip."""
    return folder / clip_id[:2] / f"{clip_id}.json"


def remove_other_clips(folder: Path, files: Sequence[str]) -> None:
    """Remove clips, and their rows, that are not among `files`: left by earlier or killed exports."""
    kept = {path for file in files for path in (folder / file, (folder / file).with_suffix(".json"))}
    for path in folder.glob("[0-9a-f][0-9a-f]/*"):
        if _CLIP_FILE.fullmatch(path.name) and path not in kept:
            path.unlink()
    for path in folder.glob("[0-9a-f][0-9a-f]"):
        if not any(path.iterdir()):
            path.rmdir()


def _index(path: str, clip: Mapping[str, Any]) -> PacketIndex | InputError:
    found = stamp(path)
    if found == (None, None):
        return InputError(f"{path}: is gone since it was curated: restore it, or select other clips")
    if found != (clip["size_bytes"], clip["mtime_ns"]):
        return InputError(f"{path}: has changed since it was curated: run videoldm curate run again")
    try:
        return read_packet_index(local_path(path), stream=clip["stream"])
    except InputError as error:
        return error


def by_source(clips: Iterable[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """Group clips by source, so that its packets are read once."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for clip in clips:
        groups.setdefault(clip["source_id"], []).append(clip)
    return list(groups.values())


def _cut_out(clip: Mapping[str, Any], index: PacketIndex, task: CutOutTask) -> dict[str, Any]:
    # The row of an earlier export does not hold while the clip changes.
    row_file(task.folder, clip["clip_id"]).unlink(missing_ok=True)
    span = copy_span(index, clip["start_pts"], clip["end_pts"])
    if clip.get("times") == "counted":
        span = NothingToCopy("the times in its source do not go forward")
    reason = _why_not_copied(clip, span, task)
    if reason is not None:
        return _row(clip, reason=reason)
    is_exact, row = task.options.is_exact, None
    if isinstance(span, CopySpan) and (not is_exact or _is_whole(clip, span)):
        row = _copied(clip, index, span, task.folder)
    if row is None or (is_exact and "file" not in row):
        row = _encoded(clip, task.folder)
    if "file" in row:
        write_json(row_file(task.folder, clip["clip_id"]), row)
    return row


def _why_not_copied(clip: Mapping[str, Any], span: CopySpan | NothingToCopy, task: CutOutTask) -> str | None:
    if task.options.is_exact:
        return None
    if isinstance(span, NothingToCopy):
        return f"{span.reason}; --exact encodes it again"
    left = (span.end_pts - span.start_pts) * span.time_base
    if left >= task.options.shortest_s:
        return None
    wanted = (clip["end_pts"] - clip["start_pts"]) * span.time_base
    shortest = f"--shortest-s is {float(task.options.shortest_s):g}"
    if wanted < task.options.shortest_s:
        return f"lasts {float(wanted):.2f} s, {shortest}"
    return f"only {float(left):.2f} of {float(wanted):.2f} s can be copied, {shortest}; --exact encodes it again"


def _is_whole(clip: Mapping[str, Any], span: CopySpan | NothingToCopy) -> bool:
    return isinstance(span, CopySpan) and (span.start_pts, span.end_pts) == (clip["start_pts"], clip["end_pts"])


def _encoded(clip: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    target = row_file(folder, clip["clip_id"]).with_suffix(".mp4")
    time_base = Fraction(clip["time_base_num"], clip["time_base_den"])
    start, end = (Timestamp(clip[name], time_base) for name in ("start_pts", "end_pts"))
    clock = clip.get("times") or "stored"
    encoded = encode_clip(
        local_path(clip["path"]), start, end, target, stream=clip["stream"], clock=clock, shape=_shape(clip)
    )
    return {
        **{name: clip[name] for name in (*SPAN_COLUMNS, "start_pts", "end_pts")},
        "file": target.relative_to(folder).as_posix(),
        "lost_start_ticks": 0,
        "lost_end_ticks": 0,
        "num_frames": encoded.num_frames,
        "is_copy": False,
        "lost_metadata": ", ".join(encoded.lost_metadata) or None,
    }


def _copied(clip: Mapping[str, Any], index: PacketIndex, span: CopySpan, folder: Path) -> dict[str, Any]:
    target = row_file(folder, clip["clip_id"]).with_suffix(clip_suffixes(index.codec)[0])
    source, unproven = local_path(clip["path"]), target.with_name(f".{target.name}")
    shape = _shape(clip)
    copy_clip(source, index, span, unproven, shape=shape)
    proof = prove_clip(source, index, span, unproven, pixel_aspect=None if shape is None else shape.pixel_aspect)
    if proof.is_proven:
        unproven.replace(target)
    else:
        unproven.unlink()
        differences = "; ".join(proof.differences)
        return _row(clip, reason=f"its copy differs from the source: {differences}; --exact encodes it again")
    return {
        **{name: clip[name] for name in SPAN_COLUMNS},
        "file": target.relative_to(folder).as_posix(),
        "start_pts": span.start_pts,
        "end_pts": span.end_pts,
        "lost_start_ticks": span.start_pts - span.wanted_start_pts,
        "lost_end_ticks": span.wanted_end_pts - span.end_pts,
        "num_frames": span.num_frames,
        "is_copy": True,
    }


def _shape(clip: Mapping[str, Any]) -> StoredShape | None:
    """Return the shape of the clip's stored frames; None if its dataset, of an earlier version, does not say."""
    rotation = clip.get("rotation")
    if rotation is None:
        return None
    aspect = Fraction(clip["pixel_aspect_num"], clip["pixel_aspect_den"])
    is_turned = rotation % 180 != 0
    width, height = (clip[name] for name in (("height", "width") if is_turned else ("width", "height")))
    return StoredShape(width, height, 1 / aspect if is_turned else aspect)


def _row(clip: Mapping[str, Any], *, reason: str) -> dict[str, Any]:
    return {**{name: clip[name] for name in SPAN_COLUMNS}, "reason": reason}
