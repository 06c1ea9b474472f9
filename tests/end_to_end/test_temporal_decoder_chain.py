"""A temporal decoder from the shipped autoencoder: trained for two steps, put into the model, generating a clip."""

import shutil
from pathlib import Path

import pytest
import torch

from videoldm.assets.models import shipped_models
from videoldm.core.errors import InputError
from videoldm.core.random import normal
from videoldm.generation.clips import make_clip
from videoldm.generation.load import load_model
from videoldm.inference.decode import decode
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.recipes.temporal_decoder import mini_temporal_decoder, temporal_decoder
from videoldm.training.run import check, run

MINI = shipped_models()["mini"]
CHANGES = {"num_frames": 2, "num_validation_clips": 1}


@pytest.fixture
def recipe():
    """The mini recipe on the shipped parts, over in a moment."""
    recipe = mini_temporal_decoder()
    stage = recipe.stage.model_copy(update=CHANGES)
    few = {"num_clips": 64, "num_frames": 2}
    stage = stage.model_copy(
        update={
            "data": stage.data.model_copy(update=few),
            "validation": stage.data.model_copy(update=few),  # the same clips: rendering others would take longest
            "adversary": stage.adversary.model_copy(update={"starts_at_samples": 0}),
        }
    )
    training = recipe.training.model_copy(update={"num_samples": 4, "batch_size": 2})
    return recipe.model_copy(update={"stage": stage, "training": training})


def test_trained_decoder_generates_within_the_model(recipe, tmp_path: Path) -> None:
    export = run(recipe, tmp_path / "run", tmp_path / "cache")
    folder = tmp_path / "model"
    shutil.copytree(MINI, folder, ignore=shutil.ignore_patterns("autoencoder"))
    shutil.copytree(export, folder / "autoencoder")
    model = load_model(str(folder), "text-to-video")
    assert model.autoencoder.config.decoder == TemporalDecoder()
    latents = normal((1, 3, 32, 2, 2), 0, "latents")
    one, whole = (decode(model.autoencoder, latents, chunk_frames=frames) for frames in (1, 3))
    torch.testing.assert_close(one, whole, rtol=0, atol=1e-4)
    clip = make_clip(model, prompt="a red cube", num_inference_steps=1, num_frames=2, guidance_scale=1.0)
    assert clip.pixels.shape == (2, 3, 64, 64)


@pytest.mark.parametrize("key", ["stage.autoencoder", "stage.perceptual.judge"])
def test_missing_folders_are_named(recipe, tmp_path: Path, key: str) -> None:
    stage = recipe.stage
    missing = str(tmp_path / "nothing")
    changes = (
        {"autoencoder": missing}
        if key == "stage.autoencoder"
        else {"perceptual": stage.perceptual.model_copy(update={"judge": missing})}
    )
    broken = recipe.model_copy(update={"stage": stage.model_copy(update=changes)})
    with pytest.raises(InputError, match=f"{key} is .*there is no such folder"):
        check(broken, tmp_path / "run", tmp_path / "cache")


def test_large_recipe_has_the_shape_of_svd() -> None:
    stage = temporal_decoder().stage
    assert (stage.num_frames, stage.decoder, stage.projection, stage.trained) == (
        14,
        TemporalDecoder(),
        "folded",
        "temporal",
    )
