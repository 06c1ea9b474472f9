"""Comparisons of all clips: near-duplicates by hashes or embeddings, and captions that many clips share."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int

from videoldm.core.errors import InputError
from videoldm.curation.annotators.embeddings import unit_vectors
from videoldm.curation.annotators.guards import repeated_captions
from videoldm.curation.annotators.picture_hash import hash_vector
from videoldm.curation.config import (
    AnyComparison,
    ByEmbeddings,
    ByPictureHash,
    NearDuplicatesConfig,
    RepeatedCaptionsConfig,
)
from videoldm.curation.store.parts import read_part
from videoldm.dataset.tables import annotation_schema

Needed = Mapping[str, Sequence[Path]]
"""Parts of each annotation that is compared."""
_MARGIN = 1e-4
"""Cosines this near to the threshold are computed again; those of blocks in float32 are exact to about 1e-6."""
_PAIRS_AT_ONCE = 4096


def compare(config: AnyComparison, clip_ids: Sequence[str], needed: Needed) -> pa.Table:
    """Compare all clips and return their rows, in this order."""
    match config:
        case NearDuplicatesConfig():
            return _near_duplicates(config, clip_ids, needed)
        case RepeatedCaptionsConfig():
            return _repeated_captions(config, clip_ids, needed)


def digest(clip_ids: Sequence[str], needed: Needed) -> str:
    """Hash what is compared; values of an annotation follow from its clip, so it is enough to know which exist."""
    lines = [f"{name} {part.name} {clip} {missing}" for name, parts in needed.items() for part in parts
             for clip, missing in _columns(part)]  # fmt: skip
    return hashlib.blake2b("\n".join([*clip_ids, *lines]).encode(), digest_size=16).hexdigest()


def _near_duplicates(config: NearDuplicatesConfig, clip_ids: Sequence[str], needed: Needed) -> pa.Table:
    schema = annotation_schema(pa.schema([("group", pa.string()), ("is_first", pa.bool_()), ("size", pa.int32())]))
    found: dict[str, np.ndarray] = {}
    for part in needed.get(config.by.annotation, ()):
        for row in read_part(part).to_pylist():
            vector = _vector(config, row)
            if vector is not None:
                found[row["clip_id"]] = vector
    known = [clip_id for clip_id in clip_ids if clip_id in found]
    groups: dict[str, str] = {}
    if known:
        stacked = np.stack([found[clip_id] for clip_id in known])
        groups = dict(zip(known, near_duplicates(known, stacked, threshold=config.by.threshold), strict=True))
    sizes: dict[str, int] = {}
    for group in groups.values():
        sizes[group] = sizes.get(group, 0) + 1
    rows = [
        {"group": groups[clip_id], "is_first": groups[clip_id] == clip_id, "size": sizes[groups[clip_id]]}
        if clip_id in groups
        else {"missing": f"the clip has no {config.by.annotation}"}
        for clip_id in clip_ids
    ]
    return pa.Table.from_pylist(
        [{"clip_id": clip_id, "may_come_later": False, **row} for clip_id, row in zip(clip_ids, rows, strict=True)],
        schema=schema,
    )


def _vector(config: NearDuplicatesConfig, row: Mapping[str, Any]) -> Float32[np.ndarray, " d"] | None:
    """Return the vector of a clip's row, None if it has no values.

    The cosine of two clips' embeddings is the mean of those between their first, middle and last frames.
    """
    match config.by:
        case ByPictureHash():
            return hash_vector(row)
        case ByEmbeddings():
            vectors = unit_vectors(row)
            return None if vectors is None else vectors.reshape(-1)


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


def near_duplicates(
    clip_ids: Sequence[str],
    vectors: Float32[np.ndarray, "n d"],
    *,
    threshold: float,
    block_size: int = 4096,
) -> list[str]:
    """Return for each clip the smallest id in its group, which is its own if no other clip is similar.

    Two clips whose cosine is at least `threshold` are in one group, and so are all that such pairs connect: the first
    and the last of a chain may be less similar than that. Every pair is compared, in blocks of `block_size` squared, so
    that time grows with the square of the number of clips and memory does not. The result depends on neither order nor
    block size. Raises InputError for ids given twice and vectors without a direction.
    """
    if not 0 < threshold < 1:
        raise InputError(f"threshold is {threshold}, it should lie between 0 and 1")
    if len(set(clip_ids)) != len(clip_ids):
        raise InputError("near_duplicates: some clip ids are given twice")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise InputError("near_duplicates: some embeddings are zero or not finite")
    order = np.array(sorted(range(len(clip_ids)), key=clip_ids.__getitem__), np.int64)
    unit = (vectors[order] / norms[order, None]).astype(np.float32)
    parents = np.arange(len(order))
    for start in range(0, len(unit), block_size):
        for other in range(start, len(unit), block_size):
            rows, columns = _similar(unit[start : start + block_size], unit[other : other + block_size], threshold)
            if len(rows) == 0:
                continue
            with_hits, first_hits = np.unique(rows, return_index=True)
            for row, hits in zip(with_hits, np.split(columns, first_hits[1:]), strict=True):
                _join(parents, np.append(hits + other, row + start))
    groups = [""] * len(order)
    for index, root in zip(order.tolist(), _roots(parents, np.arange(len(order))).tolist(), strict=True):
        groups[index] = clip_ids[int(order[root])]
    return groups


def _similar(
    a: Float32[np.ndarray, "n d"], b: Float32[np.ndarray, "m d"], threshold: float
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Return the indices in both blocks of pairs with a cosine of at least `threshold`."""
    cosines = a @ b.T
    rows, columns = np.nonzero(cosines >= threshold - _MARGIN)
    is_near = cosines[rows, columns] < threshold + _MARGIN
    is_similar = ~is_near
    is_similar[is_near] = _exactly_similar(a, b, rows[is_near], columns[is_near], threshold)
    return rows[is_similar], columns[is_similar]


def _exactly_similar(
    a: Float32[np.ndarray, "n d"],
    b: Float32[np.ndarray, "m d"],
    rows: Int[np.ndarray, " k"],
    columns: Int[np.ndarray, " k"],
    threshold: float,
) -> Bool[np.ndarray, " k"]:
    """Return whether the cosine of each pair reaches `threshold`, in float64 with a fixed order of summation."""
    is_similar = np.empty(len(rows), np.bool_)
    for start in range(0, len(rows), _PAIRS_AT_ONCE):
        part = slice(start, start + _PAIRS_AT_ONCE)
        is_similar[part] = (a[rows[part]].astype(np.float64) * b[columns[part]]).sum(axis=1) >= threshold
    return is_similar


def _join(parents: Int[np.ndarray, " n"], places: Int[np.ndarray, " k"]) -> None:
    """Join the groups of all `places` into one, under the smallest of their roots."""
    roots = _roots(parents, places)
    parents[roots] = parents[places] = roots.min()


def _roots(parents: Int[np.ndarray, " n"], places: Int[np.ndarray, " k"]) -> Int[np.ndarray, " k"]:
    while (parents[places] != places).any():
        places = parents[places]
    return places
