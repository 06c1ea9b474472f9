"""The sizes of the tiny pipeline as if they were a published model's, so that its single file is recognised."""

from pathlib import Path

import pytest

from videoldm.checkpoints.layouts import single_file
from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.models.presets import PRESETS, ModelConfig
from videoldm.models.unet.config import UniformNormEps

TINY = "tiny-svd"


@pytest.fixture
def tiny_preset(pipeline_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its name; a conftest or a test imports this fixture to offer it."""
    checkpoint = open_folder(pipeline_folder)
    assert checkpoint.autoencoder is not None
    assert checkpoint.image_encoder is not None
    config = ModelConfig(
        unet=checkpoint.unet.config.model_copy(update={"norm_eps": UniformNormEps()}),
        autoencoder=checkpoint.autoencoder.config,
        image_encoder=checkpoint.image_encoder.part.config,
        num_frames=checkpoint.num_frames or 1,
    )
    monkeypatch.setitem(PRESETS, TINY, config)
    monkeypatch.setitem(single_file.LAYOUTS, TINY, single_file.svd)
    return TINY


def image_preset(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Add the sizes of a tiny pipeline of Stable Diffusion or its upscaler to the published ones."""
    checkpoint = open_folder(folder)
    assert checkpoint.autoencoder is not None
    assert checkpoint.text_encoder is not None
    config = ModelConfig(
        unet=checkpoint.unet.config,
        autoencoder=checkpoint.autoencoder.config,
        text_encoder=checkpoint.text_encoder.part.config,
        num_frames=1,
    )
    monkeypatch.setitem(PRESETS, name, config)
    monkeypatch.setitem(single_file.LAYOUTS, name, single_file.stable_diffusion)
    return name
