"""Profiles: complete, in an order in which what is needed comes first, and told apart by what they depend on."""

from __future__ import annotations

import pytest

from videoldm.curation.annotators.config import AnnotatorConfig
from videoldm.curation.annotators.profiles import default_annotations, fidelity_annotations

DEFAULT, FIDELITY = default_annotations(), fidelity_annotations("http://host/v1", summary_model="llm")


@pytest.mark.parametrize("configs", [DEFAULT, FIDELITY])
def test_what_is_needed_comes_first(configs: tuple[AnnotatorConfig, ...]) -> None:
    made: set[str] = set()
    for config in configs:
        assert made.issuperset(config.needs)
        made.add(config.identity()["name"])
    models = {"embeddings", "image_caption", "video_caption", "summary", "text_similarity", "aesthetics"}
    assert made == {"motion", "text_area"} | models


@pytest.mark.parametrize("configs", [DEFAULT, FIDELITY])
def test_texts_and_pictures_go_through_one_model(configs: tuple[AnnotatorConfig, ...]) -> None:
    by_name = {config.identity()["name"]: config for config in configs}
    assert by_name["embeddings"].clip == by_name["text_similarity"].clip


def test_flow_of_the_paper() -> None:
    methods = [configs[0].flow.method for configs in (DEFAULT, FIDELITY)]
    assert methods == ["dis", "farneback"]


def test_captioners_of_the_paper() -> None:
    models = {config.name: config.captioner.model for config in FIDELITY if hasattr(config, "captioner")}
    assert models == {
        "image_caption": "coca_ViT-L-14",
        "video_caption": "kpyu/video-blip-opt-2.7b-ego4d",
        "summary": "llm",
    }
