"""Profiles: complete, in an order in which what is needed comes first, and told apart by what they depend on."""

from __future__ import annotations

import pytest

from videoldm.curation.annotators.config import AnnotatorConfig, LocalCaptioner, ServerCaptioner
from videoldm.curation.annotators.profiles import default_annotations, fidelity_annotations

SERVER = ServerCaptioner(url="http://host/v1", model="m")
DEFAULT, FIDELITY = default_annotations(), fidelity_annotations("http://host/v1", summary_model="llm")


@pytest.mark.parametrize("configs", [DEFAULT, FIDELITY, default_annotations(SERVER)])
def test_what_is_needed_comes_first(configs: tuple[AnnotatorConfig, ...]) -> None:
    made: set[str] = set()
    for config in configs:
        assert made.issuperset(config.needs)
        made.add(config.identity()["name"])
    assert made == {"embeddings", "image_caption", "video_caption", "summary", "text_similarity", "aesthetics"}


@pytest.mark.parametrize("configs", [DEFAULT, FIDELITY])
def test_texts_and_pictures_go_through_one_model(configs: tuple[AnnotatorConfig, ...]) -> None:
    by_name = {config.identity()["name"]: config for config in configs}
    assert by_name["embeddings"].clip == by_name["text_similarity"].clip


def test_captioners() -> None:
    _, image, video, summary, *_ = default_annotations(SERVER)
    assert image.captioner == video.captioner == summary.captioner == SERVER
    local = LocalCaptioner(model="owner/chats")
    _, image, video, summary, *_ = default_annotations(local)
    assert image.captioner == video.captioner == local
    assert summary.captioner == DEFAULT[3].captioner
    _, image, video, summary, *_ = FIDELITY
    models = [image.captioner.model, video.captioner.model, summary.captioner.model]
    assert models == ["coca_ViT-L-14", "kpyu/video-blip-opt-2.7b-ego4d", "llm"]
