"""Text similarity against transformers' own cosines, and which captions count."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tiny_annotator_models import CLIP_WIDTH, made_clip, write_clip
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import ClipFrames, Missing
from videoldm.curation.annotators.embeddings import Embeddings, EmbeddingsConfig
from videoldm.curation.annotators.models.local_model import ClipModelConfig
from videoldm.curation.annotators.text_similarity import CAPTIONS, TextSimilarity, TextSimilarityConfig

TEXTS = {
    "metadata_caption": "a red cube",
    "image_caption": "a green ball moves",
    "video_caption": "a blue cone stands still",
    "summary": "a red cube moves to the right",
}


@pytest.fixture(scope="module")
def clip_config(tmp_path_factory: pytest.TempPathFactory) -> ClipModelConfig:
    return ClipModelConfig(model=str(write_clip(tmp_path_factory.mktemp("clip"))), width=CLIP_WIDTH, batch_size=4)


@pytest.fixture(scope="module")
def similarity(clip_config: ClipModelConfig) -> TextSimilarity:
    return TextSimilarity(TextSimilarityConfig(clip=clip_config))


def captioned(clip_config: ClipModelConfig, number: int, texts: dict[str, str], *, caught: str = "") -> ClipFrames:
    config = EmbeddingsConfig(clip=clip_config, stored_as="float32")
    rows: dict[str, Any] = {"embeddings": Embeddings(config).annotate([made_clip(number)])[0]}
    rows |= {name: {"text": text, "is_caught": name == caught} for name, text in texts.items()}
    metadata = {"caption": rows.pop("metadata_caption")["text"]} if "metadata_caption" in texts else {}
    return made_clip(number, metadata=metadata, annotations=rows)


def test_cosines_are_those_of_transformers(clip_config: ClipModelConfig, similarity: TextSimilarity) -> None:
    (values,) = similarity.annotate([captioned(clip_config, 1, TEXTS)])
    model = CLIPModel.from_pretrained(clip_config.model).eval()
    frames = [frame.pixels for frame in made_clip(1).first_middle_last]
    inputs = CLIPImageProcessorPil.from_pretrained(clip_config.model)(images=frames, return_tensors="pt")
    inputs |= AutoTokenizer.from_pretrained(clip_config.model)(list(TEXTS.values()), padding=True, return_tensors="pt")
    with torch.no_grad():
        cosines = (model(**inputs).logits_per_text / model.logit_scale.exp()).numpy()
    for name, expected in zip(TEXTS, cosines, strict=True):
        np.testing.assert_allclose(values[f"{name}_frames"], expected, atol=1e-6)
        assert values[name] == pytest.approx(expected.mean(), abs=1e-6)
    assert values["score"] == pytest.approx(cosines[1:].mean(), abs=1e-6)
    assert list(values) == similarity.config.columns.names


def test_which_captions_count(clip_config: ClipModelConfig, similarity: TextSimilarity) -> None:
    def score_of(texts: dict[str, str], caught: str = "") -> tuple[float, dict[str, Any]]:
        (values,) = similarity.annotate([captioned(clip_config, 2, texts, caught=caught)])
        return values["score"], {name: values[name] for name in CAPTIONS}

    score, means = score_of({"metadata_caption": "a red cube"})
    assert means == {"metadata_caption": score, "image_caption": None, "video_caption": None, "summary": None}
    score, means = score_of(TEXTS, caught="summary")
    assert score == pytest.approx((means["image_caption"] + means["video_caption"]) / 2)
    assert means["summary"] is not None
    score, means = score_of(TEXTS | {"summary": "  "})
    assert means["summary"] is None


def test_company_changes_no_bit(clip_config: ClipModelConfig, similarity: TextSimilarity) -> None:
    clips = [captioned(clip_config, i, dict(list(TEXTS.items())[i % 3 :])) for i in range(4)]
    together = similarity.annotate(clips)
    assert [repr(similarity.annotate([clip])[0]) for clip in clips] == [repr(values) for values in together]


def test_what_cannot_be_compared_is_missing(clip_config: ClipModelConfig, similarity: TextSimilarity) -> None:
    without_caption = captioned(clip_config, 1, {})
    null = captioned(clip_config, 1, {})
    null.annotations["summary"] = {"text": None, "is_caught": None}
    values = similarity.annotate([made_clip(1, metadata={"caption": "x"}), without_caption, null])
    assert [value.reason for value in values] == ["the clip has no embeddings", *["the clip has no caption"] * 2]
    assert all(value.may_come_later for value in values)


def test_embeddings_of_another_model_are_refused(clip_config: ClipModelConfig, similarity: TextSimilarity) -> None:
    clip = captioned(clip_config, 1, TEXTS)
    clip.annotations["embeddings"] = {**clip.annotations["embeddings"], "model": "other/clip"}
    with pytest.raises(InputError, match="the embeddings are of other/clip, clip is "):
        similarity.annotate([clip])


def test_a_model_that_is_not_here_leaves_values_missing() -> None:
    made = TextSimilarity(TextSimilarityConfig(clip=ClipModelConfig(model="nobody/no-such-clip")))
    (values,) = made.annotate([made_clip(1)])
    assert isinstance(values, Missing)
    assert values.may_come_later
