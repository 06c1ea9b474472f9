"""Changes of a configuration that people choose most often."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash
from videoldm.curation.choices import as_in_paper, captioned_by, only, scored_by
from videoldm.curation.config import CurationConfig
from videoldm.curation.store.dataset import Hashes

CONFIG = CurationConfig()


def captioners(config: CurationConfig) -> dict[str, object]:
    return {one.name: one.captioner for one in config.annotations if hasattr(one, "captioner")}


def test_annotations_bring_what_they_need() -> None:
    aesthetics = only(CONFIG, ["aesthetics", "motion"])
    assert [one.name for one in aesthetics.annotations] == ["motion", "embeddings", "aesthetics"]
    summary = only(CONFIG, ["summary"])
    assert [one.name for one in summary.annotations] == ["image_caption", "video_caption", "summary"]
    assert only(CONFIG, []).annotations == ()


def test_unknown_annotation_is_named() -> None:
    with pytest.raises(InputError, match="'flow', known annotations are motion, text_area"):
        only(CONFIG, ["flow"])


def test_server_captions_and_summarises() -> None:
    found = captioners(captioned_by(CONFIG, "openai:http://localhost:8000/v1#m"))
    assert {one.url for one in found.values()} == {"http://localhost:8000/v1"}


def test_local_model_only_captions() -> None:
    found = captioners(captioned_by(CONFIG, "owner/chats"))
    assert found["image_caption"].model == found["video_caption"].model == "owner/chats"
    assert found["summary"] == captioners(CONFIG)["summary"]


def test_paper_needs_a_server() -> None:
    assert [one.name for one in as_in_paper("openai:http://h/v1#m").annotations][:2] == ["motion", "text_area"]
    for captioner in (None, "owner/chats"):
        with pytest.raises(InputError, match="needs a server"):
            as_in_paper(captioner)


def test_other_head_at_the_same_place_makes_other_scores(tmp_path: Path) -> None:
    head = tmp_path / "head.safetensors"
    hashes = []
    for content in (b"one", b"two"):
        head.write_bytes(content)
        config = scored_by(CONFIG, head)
        assert config.annotations[-1].head_hash == file_hash(head)
        hashes.append(Hashes.of(config).annotations["aesthetics"])
    assert len({Hashes.of(CONFIG).annotations["aesthetics"], *hashes}) == 3


def test_each_table_follows_what_decides_it_only() -> None:
    base = Hashes.of(CONFIG)
    sidecar = CONFIG.sidecar.model_copy(update={"jpeg_quality": 80})
    other = Hashes.of(CONFIG.model_copy(update={"sidecar": sidecar}))
    assert set(other.tables.values()).isdisjoint(base.tables.values())
    clips = Hashes.of(CONFIG.model_copy(update={"clips": CONFIG.clips.model_copy(update={"min_s": 3.0})}))
    assert [name for name in base.tables if clips.tables[name] != base.tables[name]] == ["transitions", "clips"]
    assert clips.annotations == base.annotations
    motion, text, *others = CONFIG.annotations
    scaled = text.model_copy(update={"area_scale": 1.5})
    changed = Hashes.of(CONFIG.model_copy(update={"annotations": (motion, scaled, *others)}))
    assert [name for name in base.annotations if changed.annotations[name] != base.annotations[name]] == ["text_area"]
