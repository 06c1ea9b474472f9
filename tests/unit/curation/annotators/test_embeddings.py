"""CLIP embeddings: against transformers used directly, in any company, stored and read back."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_annotator_models import CLIP_TOKENS, CLIP_WIDTH, made_clip, write_clip
from transformers import AutoTokenizer, CLIPModel
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from videoldm.core.errors import InputError
from videoldm.curation.annotators.annotator import Missing
from videoldm.curation.annotators.embeddings import PLACES, Embeddings, EmbeddingsConfig, unit_vectors
from videoldm.curation.annotators.models.clip_model import ClipModel
from videoldm.curation.annotators.models.local_model import ClipModelConfig


def config(folder: Path, **changes: object) -> ClipModelConfig:
    return ClipModelConfig(**{"model": str(folder), "width": CLIP_WIDTH, "batch_size": 6} | changes)


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def embeddings(clip_folder: Path) -> Embeddings:
    return Embeddings(EmbeddingsConfig(clip=config(clip_folder), stored_as="float32"))


def test_vectors_are_those_of_transformers(clip_folder: Path, embeddings: Embeddings) -> None:
    clip = made_clip(1)
    (row,) = embeddings.annotate([clip])
    model = CLIPModel.from_pretrained(clip_folder).eval()
    processor = CLIPImageProcessorPil.from_pretrained(clip_folder)
    frames = [clip.frames[i].pixels for i in (0, 2, 4)]  # the middle of 0..60 is nearest to the frame at 24 or 36
    with torch.no_grad():
        features = model.get_image_features(**processor(images=frames, return_tensors="pt")).pooler_output
    expected = torch.nn.functional.normalize(features, dim=-1).numpy()
    found = np.stack([row[place] for place in PLACES])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert row["model"] == str(clip_folder)


def test_texts_are_those_of_transformers(clip_folder: Path) -> None:
    texts = ["a red cube", "a green ball moves to the right and a blue cone stands still and a red cube moves"]
    found = ClipModel(config(clip_folder)).embed_texts(texts)
    tokens = AutoTokenizer.from_pretrained(clip_folder)(
        texts, padding=True, truncation=True, max_length=CLIP_TOKENS, return_tensors="pt"
    )
    with torch.no_grad():
        features = CLIPModel.from_pretrained(clip_folder).eval().get_text_features(**tokens).pooler_output
    np.testing.assert_allclose(found, torch.nn.functional.normalize(features, dim=-1).numpy(), atol=1e-6)


def test_company_changes_no_bit(embeddings: Embeddings) -> None:
    clips = [made_clip(number) for number in range(5)]
    together = embeddings.annotate(clips)
    backwards = embeddings.annotate(clips[::-1])[::-1]
    alone = [embeddings.annotate([clip])[0] for clip in clips]
    for rows in (backwards, alone):
        for row, other in zip(together, rows, strict=True):
            assert all(row[place].tobytes() == other[place].tobytes() for place in PLACES)
    assert together[0]["first"].tobytes() != together[1]["first"].tobytes()


def test_threads_outside_change_no_bit_and_stay(embeddings: Embeddings) -> None:
    before = torch.get_num_threads()
    (row,) = embeddings.annotate([made_clip(1)])
    try:
        torch.set_num_threads(2)
        (other,) = embeddings.annotate([made_clip(1)])
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert row["first"].tobytes() == other["first"].tobytes()


def test_rows_are_stored_and_read_back(clip_folder: Path, tmp_path: Path) -> None:
    made = Embeddings(EmbeddingsConfig(clip=config(clip_folder)))
    (row,) = made.annotate([made_clip(1)])
    columns = {
        name: pa.array([row[name], None], type=made.config.columns.field(name).type)
        for name in made.config.columns.names
    }
    pq.write_table(pa.table(columns, schema=made.config.columns), tmp_path / "rows.parquet")
    stored, missing = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    exact = Embeddings(EmbeddingsConfig(clip=config(clip_folder), stored_as="float32")).annotate([made_clip(1)])[0]
    vectors = unit_vectors(stored)
    assert vectors is not None
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(vectors, np.stack([exact[place] for place in PLACES]), atol=1e-3)
    assert unit_vectors(missing) is None
    assert unit_vectors(None) is None


def test_a_model_that_is_not_here_leaves_values_missing() -> None:
    made = Embeddings(EmbeddingsConfig(clip=ClipModelConfig(model="nobody/no-such-clip")))
    assert made.config.columns.field("first").type == pa.list_(pa.float16(), 512)
    values = made.annotate([made_clip(1), made_clip(2)])
    assert len(values) == 2
    assert values[0] == Missing(
        "the model nobody/no-such-clip is not on this machine: add --download, or name a folder",
        may_come_later=True,
    )


def test_no_clips_have_no_values(embeddings: Embeddings) -> None:
    assert embeddings.annotate([]) == []


def test_wrong_models_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="its embeddings have 16 numbers, width is 512"):
        ClipModel(config(clip_folder, width=512))
    with pytest.raises(InputError, match="does not exist, it should be the folder of a model or a name on the hub"):
        ClipModel(config(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="cannot be read as a model"):
        ClipModel(config(tmp_path / "empty"))


def test_a_model_without_some_weights_is_refused(clip_folder: Path, tmp_path: Path) -> None:
    broken = copytree(clip_folder, tmp_path / "broken")
    tensors = load_file(broken / "model.safetensors")
    del tensors["visual_projection.weight"]
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"its files lack 1 weights, visual_projection\.weight"):
        ClipModel(config(broken))


def test_numbers_that_are_not_finite_are_no_values(clip_folder: Path, tmp_path: Path) -> None:
    made = Embeddings(EmbeddingsConfig(clip=config(copytree(clip_folder, tmp_path / "copy"))))
    made._clip._model.visual_projection.weight.data[0, 0] = float("nan")
    (values,) = made.annotate([made_clip(1)])
    assert isinstance(values, Missing)
    assert not values.may_come_later
