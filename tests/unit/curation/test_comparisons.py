"""Comparisons of all clips, from parts of annotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from videoldm.curation.annotators.picture_hash import NUM_BYTES, PLACES, PictureHashConfig
from videoldm.curation.comparisons import Needed, compare, digest
from videoldm.curation.config import ByEmbeddings, ByPictureHash, NearDuplicatesConfig, RepeatedCaptionsConfig
from videoldm.curation.store.parts import write_part
from videoldm.dataset.tables import annotation_schema

WIDTH = 8
CLIPS = [f"clip {number}" for number in range(6)]


def part(folder: Path, name: str, rows: list[dict[str, object]], values: pa.Schema) -> Path:
    path = folder / name / "00000.parquet"
    write_part(path, [{"may_come_later": False, **row} for row in rows], annotation_schema(values))
    return path


@pytest.fixture
def embeddings(tmp_path: Path) -> Needed:
    """Clips 0 and 3 are alike, 5 has none."""
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(6, 3, WIDTH))
    vectors[3] = vectors[0] + 0.001
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    column = pa.list_(pa.float32(), WIDTH)
    values = pa.schema([("first", column), ("middle", column), ("last", column), ("model", pa.string())])
    rows = [
        {"clip_id": clip, **dict(zip(("first", "middle", "last"), each.tolist(), strict=True)), "model": "m"}
        for clip, each in zip(CLIPS[:5], vectors, strict=False)
    ]
    missing = {"clip_id": CLIPS[5], "missing": "no model"}
    return {"embeddings": [part(tmp_path, "embeddings", [*rows, missing], values)]}


def test_near_duplicates_are_named_after_their_first(embeddings: Needed) -> None:
    rows = compare(NearDuplicatesConfig(by=ByEmbeddings()), CLIPS, embeddings).to_pylist()
    assert [row["clip_id"] for row in rows] == CLIPS
    assert [row["group"] for row in rows] == ["clip 0", "clip 1", "clip 2", "clip 0", "clip 4", None]
    assert [row["is_first"] for row in rows] == [True, True, True, False, True, None]
    assert [row["size"] for row in rows] == [2, 1, 1, 2, 1, None]
    assert rows[5]["missing"] == "the clip has no embeddings"


def test_near_duplicates_are_found_by_hashes(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    hashes = draw.integers(0, 256, (5, 3, NUM_BYTES), np.uint8)
    hashes[4] = hashes[1]
    hashes[4, 0, :2] ^= 255  # 16 of 297 bits
    rows: list[dict[str, object]] = [
        {"clip_id": clip, **{place: one.tobytes() for place, one in zip(PLACES, each, strict=True)}}
        for clip, each in zip(CLIPS[:5], hashes, strict=True)
    ]
    rows[3] |= {"first": None, "middle": rows[0]["middle"], "last": None}  # a frame that is alike, two of one colour
    rows.append({"clip_id": CLIPS[5], "missing": "its frames are of one colour"})
    needed = {"picture_hash": [part(tmp_path, "picture_hash", rows, PictureHashConfig().columns)]}
    found = compare(NearDuplicatesConfig(), CLIPS, needed).to_pylist()
    assert [row["group"] for row in found] == ["clip 0", "clip 1", "clip 2", "clip 0", "clip 1", None]
    strict = compare(NearDuplicatesConfig(by=ByPictureHash(threshold=0.6)), CLIPS, needed).to_pylist()
    assert [row["group"] for row in strict] == ["clip 0", "clip 1", "clip 2", "clip 3", "clip 1", None]
    assert strict[5]["missing"] == "the clip has no picture_hash"


def test_repeated_captions_are_marked(tmp_path: Path) -> None:
    texts = ["A dog.", "a dog", "a dog!", "a cat", None, "a bird"]
    rows = [{"clip_id": clip, "text": text} for clip, text in zip(CLIPS, texts, strict=True)]
    needed = {"image_caption": [part(tmp_path, "image_caption", rows, pa.schema([("text", pa.string())]))]}
    found = compare(RepeatedCaptionsConfig(min_clips=3), CLIPS, needed).to_pylist()
    assert [row["is_any"] for row in found] == [True, True, True, False, None, False]
    assert [row["is_summary"] for row in found] == [None] * 6
    assert [row["missing"] for row in found] == [None] * 4 + ["the clip has no caption", None]


def test_digest_follows_clips_and_what_is_made(embeddings: Needed) -> None:
    assert digest(CLIPS, embeddings) == digest(CLIPS, embeddings)
    assert len({digest(CLIPS, embeddings), digest(CLIPS[:5], embeddings), digest(CLIPS, {})}) == 3
