"""Stage from kept frames to the rows of one annotation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from videoldm.core.errors import InputError, unexpected
from videoldm.curation.annotators.annotator import Annotator, ClipFrames, KeptFrame, Missing, Values
from videoldm.curation.annotators.registry import AnnotatorConfig, make
from videoldm.curation.store.dataset import config_hash
from videoldm.curation.store.parts import read_part, read_rows
from videoldm.dataset.tables import GREY_KINDS, annotation_schema

_latest: Annotator[Any] | None = None
"""The annotator used last: a worker does one annotation after another, so one model is enough to keep."""


@dataclass(frozen=True)
class AnnotateTask:
    """Some clips of a batch, and the parts of the batch."""

    clips: Path
    sources: Path
    sidecars: Path
    needs: Mapping[str, Path]
    """Parts of the annotations that the annotator reads, by name."""
    clip_ids: tuple[str, ...]
    config: AnnotatorConfig


def annotate(task: AnnotateTask) -> pa.Table:
    """Annotate the clips of a task: one row a clip, in the order of `clip_ids`.

    If an annotator fails in a way that it should not, the clips are annotated one by one, so that only the one at which
    it fails has no values.
    """
    clips = frames_of(task)
    try:
        return _table(task, _annotator(task.config).annotate(clips))
    except InputError as error:
        return missing_rows(task, str(error))
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - libraries raise whatever they like
        return _table(task, [_annotated_alone(task.config, clip) for clip in clips])


def _annotated_alone(config: AnnotatorConfig, clip: ClipFrames) -> Values:
    try:
        [values] = _annotator(config).annotate([clip])
    except InputError as error:
        return Missing(str(error), may_come_later=True)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001
        return Missing(unexpected(error), may_come_later=True)
    return values


def missing_rows(task: AnnotateTask, reason: str) -> pa.Table:
    """Return rows without values, for an annotator that could not be used or was stopped; loads nothing."""
    return _table(task, [Missing(reason, may_come_later=True)] * len(task.clip_ids))


def frames_of(task: AnnotateTask) -> list[ClipFrames]:
    """Read the clips of a task as annotators see them."""
    clips = {row["clip_id"]: row for row in _rows(task.clips, "clip_id", task.clip_ids)}
    source_ids = {row["source_id"] for row in clips.values()}
    metadata = {row["source_id"]: dict(row["metadata"] or ()) for row in _rows(task.sources, "source_id", source_ids)}
    frames: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in _rows(task.sidecars, "source_id", source_ids):
        frames[row["source_id"]].append(row)
    needed = {
        name: {row["clip_id"]: row for row in _rows(path, "clip_id", task.clip_ids)}
        for name, path in task.needs.items()
        if path.exists()
    }
    return [
        _clip_frames(
            clips[clip_id],
            frames[clips[clip_id]["source_id"]],
            metadata[clips[clip_id]["source_id"]],
            {name: rows[clip_id] for name, rows in needed.items() if clip_id in rows},
        )
        for clip_id in task.clip_ids
    ]


def _clip_frames(
    clip: Mapping[str, Any],
    frames: list[dict[str, Any]],
    metadata: Mapping[str, str],
    annotations: Mapping[str, Mapping[str, Any]],
) -> ClipFrames:
    inside = [row for row in frames if clip["start_pts"] <= row["pts"] < clip["end_pts"]]
    kept = [(KeptFrame(row["pts"], row["kind"] == "sampled", row["jpeg"]), row["kind"]) for row in inside]
    return ClipFrames(
        clip_id=clip["clip_id"],
        time_base=Fraction(clip["time_base_num"], clip["time_base_den"]),
        start_pts=clip["start_pts"],
        end_pts=clip["end_pts"],
        width=clip["width"],
        height=clip["height"],
        frames=[frame for frame, kind in kept if kind not in GREY_KINDS],
        small=[frame for frame, kind in kept if kind == "small"],
        companions=[frame for frame, kind in kept if kind == "companion"],
        metadata=metadata,
        annotations=annotations,
    )


def made_from(task: AnnotateTask) -> Callable[[str], str]:
    """Return, as a function of the clip, what its row follows from: needed annotations with values, and metadata."""
    present = [
        set(read_part(part, ["clip_id", "missing"]).filter(pc.field("missing").is_null())["clip_id"].to_pylist())
        if part.exists()
        else set[str]()
        for part in task.needs.values()
    ]
    metadata = _metadata_hashes(task) if task.config.reads_metadata else {}
    return lambda clip_id: "".join("1" if clip_id in one else "0" for one in present) + metadata.get(clip_id, "")


def _metadata_hashes(task: AnnotateTask) -> dict[str, str]:
    """Return the hash of the metadata for each clip whose source has any."""
    sources = read_part(task.sources, ["source_id", "metadata"]).to_pylist()
    hashes = {row["source_id"]: config_hash(dict(row["metadata"])) for row in sources if row["metadata"]}
    clips = read_part(task.clips, ["clip_id", "source_id"]).to_pylist()
    return {row["clip_id"]: hashes[row["source_id"]] for row in clips if row["source_id"] in hashes}


def _table(task: AnnotateTask, values: Sequence[Values]) -> pa.Table:
    inputs = made_from(task)
    rows = [
        {"made_from": inputs(clip_id), **_row(clip_id, one)} for clip_id, one in zip(task.clip_ids, values, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=annotation_schema(task.config.columns))


def _row(clip_id: str, values: Values) -> dict[str, Any]:
    if isinstance(values, Missing):
        return {"clip_id": clip_id, "missing": values.reason, "may_come_later": values.may_come_later}
    return {"clip_id": clip_id, "missing": None, "may_come_later": False, **values}


def _rows(path: Path, column: str, wanted: Any) -> list[dict[str, Any]]:
    return read_rows(path, pc.field(column).isin(pa.array(sorted(wanted), pa.string()))).to_pylist()


def _annotator(config: AnnotatorConfig) -> Annotator[Any]:
    """Return the annotator of `config` with its model, if it has been loaded; called in workers only."""
    global _latest  # noqa: PLW0603 - it lasts as long as the process
    if _latest is None or _latest.config != config:
        _latest = make(config)
    return _latest
