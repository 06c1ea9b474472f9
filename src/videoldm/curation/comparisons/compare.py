"""A comparison of all clips: from the parts of annotations to a row for each clip."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from videoldm.curation.annotators.guards import repeated_captions
from videoldm.curation.comparisons.config import AnyComparison, NearDuplicatesConfig, RepeatedCaptionsConfig
from videoldm.curation.comparisons.duplicates import clip_vectors, near_duplicates
from videoldm.curation.store.parts import read_part
from videoldm.dataset.tables import annotation_schema

Needed = Mapping[str, Sequence[Path]]
"""The parts of each annotation that is compared."""


def compare(config: AnyComparison, clip_ids: Sequence[str], needed: Needed) -> pa.Table:
    """The rows of all clips, in this order."""
    match config:
        case NearDuplicatesConfig():
            return _near_duplicates(config, clip_ids, needed)
        case RepeatedCaptionsConfig():
            return _repeated_captions(config, clip_ids, needed)


def digest(clip_ids: Sequence[str], needed: Needed) -> str:
    """Of what is compared; values of an annotation follow from its clip, so it is enough to know which there are."""
    lines = [f"{name} {part.name} {clip} {missing}" for name, parts in needed.items() for part in parts
             for clip, missing in _columns(part)]  # fmt: skip
    return hashlib.blake2b("\n".join([*clip_ids, *lines]).encode(), digest_size=16).hexdigest()


def _near_duplicates(config: NearDuplicatesConfig, clip_ids: Sequence[str], needed: Needed) -> pa.Table:
    from videoldm.curation.annotators.embeddings import unit_vectors  # whose module brings transformers

    schema = annotation_schema(pa.schema([("group", pa.string()), ("is_first", pa.bool_()), ("size", pa.int32())]))
    found: dict[str, np.ndarray] = {}
    for part in needed.get("embeddings", ()):
        for row in read_part(part).to_pylist():
            vectors = unit_vectors(row)
            if vectors is not None:
                found[row["clip_id"]] = vectors
    known = [clip_id for clip_id in clip_ids if clip_id in found]
    groups: dict[str, str] = {}
    if known:
        stacked = clip_vectors(np.stack([found[clip_id] for clip_id in known]))
        groups = dict(zip(known, near_duplicates(known, stacked, threshold=config.threshold), strict=True))
    sizes: dict[str, int] = {}
    for group in groups.values():
        sizes[group] = sizes.get(group, 0) + 1
    rows = [
        {"group": groups[clip_id], "is_first": groups[clip_id] == clip_id, "size": sizes[groups[clip_id]]}
        if clip_id in groups
        else {"missing": "the clip has no embeddings"}
        for clip_id in clip_ids
    ]
    return pa.Table.from_pylist(
        [{"clip_id": clip_id, "may_come_later": False, **row} for clip_id, row in zip(clip_ids, rows, strict=True)],
        schema=schema,
    )


def _repeated_captions(config: RepeatedCaptionsConfig, clip_ids: Sequence[str], needed: Needed) -> pa.Table:
    schema = annotation_schema(
        pa.schema([("is_any", pa.bool_()), *((f"is_{name}", pa.bool_()) for name in config.needs)])
    )
    flags: dict[str, list[bool | None]] = {}
    for name in config.needs:
        texts: dict[str, str | None] = {}
        for part in needed.get(name, ()):
            rows = read_part(part, ["clip_id", "text"])
            texts |= dict(zip(rows["clip_id"].to_pylist(), rows["text"].to_pylist(), strict=True))
        column = pa.array([texts.get(clip_id) for clip_id in clip_ids], pa.string())
        flags[name] = repeated_captions(column, min_clips=config.min_clips).to_pylist()
    rows = []
    for place, clip_id in enumerate(clip_ids):
        values = {f"is_{name}": flags[name][place] for name in config.needs}
        given = [value for value in values.values() if value is not None]
        why = {} if given else {"missing": "the clip has no caption"}
        known = {"clip_id": clip_id, "may_come_later": False, "is_any": any(given) if given else None}
        rows.append(known | values | why)
    return pa.Table.from_pylist(rows, schema=schema)


def _columns(part: Path) -> zip[tuple[str, str | None]]:
    rows = read_part(part, ["clip_id", "missing"])
    return zip(rows["clip_id"].to_pylist(), rows["missing"].to_pylist(), strict=True)
