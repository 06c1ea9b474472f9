"""Profiles: complete, in an order in which what is needed comes first, and told apart by what they depend on."""

from __future__ import annotations

import pytest

from videoldm.curation.annotators.registry import AnnotatorConfig
from videoldm.curation.choices import paper_annotations
from videoldm.curation.config import default_annotations

DEFAULT, PAPER = default_annotations(), paper_annotations("http://host/v1", summary_model="llm")


@pytest.mark.parametrize("configs", [DEFAULT, PAPER])
def test_what_is_needed_comes_first(configs: tuple[AnnotatorConfig, ...]) -> None:
    made: set[str] = set()
    for config in configs:
        assert made.issuperset(config.needs)
        made.add(config.identity()["name"])
    models = {"embeddings", "image_caption", "video_caption", "summary", "text_similarity", "aesthetics"}
    assert made == {"motion", "text_area"} | models | ({"picture_hash", "degradation"} if configs is DEFAULT else set())


@pytest.mark.parametrize("configs", [DEFAULT, PAPER])
def test_texts_and_pictures_go_through_one_model(configs: tuple[AnnotatorConfig, ...]) -> None:
    by_name = {config.identity()["name"]: config for config in configs}
    assert by_name["embeddings"].clip == by_name["text_similarity"].clip


def test_flow_of_the_paper() -> None:
    methods = [configs[0].flow.method for configs in (DEFAULT, PAPER)]
    assert methods == ["dis", "farneback"]


def test_captioners_of_the_paper() -> None:
    models = {config.name: config.captioner.model for config in PAPER if hasattr(config, "captioner")}
    assert models == {
        "image_caption": "coca_ViT-L-14",
        "video_caption": "kpyu/video-blip-opt-2.7b-ego4d",
        "summary": "llm",
    }
