"""A model folder that can do all tasks, with random weights and so small that a clip takes a moment."""

import shutil
from pathlib import Path

import pytest
from tiny_networks import randomise

from videoldm.checkpoints.layouts.native import save_component
from videoldm.conditioners.config import MicroConfig, MotionLevels
from videoldm.core.files import write_json
from videoldm.diffusion.config import Constant, Guidance, Karras, LinearOverFrames
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder
from videoldm.models.clip.tokenizer import train_tokenizer
from videoldm.models.unet.config import NoTemporalLayers, UNetConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig

WIDTH = 16
NUM_FRAMES, SIZE, STEPS = 3, 16, 2
CAPTIONS = ["a red cube moves to the left", "a green ball moves to the right", "a blue cone stands still"]
# One group: norms over a handful of numbers would blow up the rounding of random networks.
AUTOENCODER = AutoencoderConfig(
    channels=(4, 4, 4, 8), num_res_blocks=1, norm_groups=1, latent_channels=4, scaling_factor=1.0
)
UNET = UNetConfig(
    channels=(8, 16),
    num_res_blocks=1,
    attention_levels=(True, False),
    head_channels=8,
    context_dim=WIDTH,
    vector_dim=3 * 8,
    norm_groups=1,
)
TEXT = TextEncoderConfig(vocab_size=170, max_tokens=12, width=WIDTH, num_layers=1, num_heads=2, projection_dim=WIDTH)
IMAGE = ImageEncoderConfig(image_size=16, patch_size=8, width=WIDTH, num_layers=1, num_heads=2, projection_dim=WIDTH)


def task_config(task):
    """What the tiny model was never trained on."""
    by_image = task == "image-to-video"
    scale = LinearOverFrames(min_scale=1.0, max_scale=2.0) if by_image else Constant(scale=2.0)
    return TaskModelConfig(
        task=task,
        num_frames=NUM_FRAMES,
        height=SIZE,
        width=SIZE,
        micro=MicroConfig(embedding_dim=8, trained_fps=(5, 10), motion_levels=MotionLevels(high=150)),
        signals=SignalDefaults(),
        sampling=SamplingConfig(
            num_inference_steps=STEPS, schedule=Karras(sigma_min=0.1, sigma_max=5.0), guidance=Guidance(scale=scale)
        ),
    )


def write_tiny_model(folder):
    """Write the folder that `load_model` reads."""
    save_component(folder / "autoencoder", randomise(Autoencoder(AUTOENCODER)), AUTOENCODER)
    build_text_encoder(TEXT).save_pretrained(folder / "text_encoder")
    train_tokenizer(CAPTIONS, vocab_size=TEXT.vocab_size, max_tokens=TEXT.max_tokens).save_pretrained(
        folder / "text_encoder"
    )
    build_image_encoder(IMAGE).save_pretrained(folder / "image_encoder")
    for task in ("text-to-video", "image-to-video"):
        concat_channels = UNET.in_channels if task == "image-to-video" else 0
        config = UNET.model_copy(update={"concat_channels": concat_channels})
        save_component(folder / task / "unet", randomise(VideoUNet(config)), config)
        write_json(folder / task / "model.json", task_config(task).model_dump(mode="json"))
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model; a conftest imports this fixture to offer it."""
    return write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="session")
def tiny_image_model(tiny_model: Path) -> Path:
    """The folder of a tiny image model with the autoencoder and the text encoder of the video model."""
    folder = tiny_model.parent / "tiny-image"
    for part in ("autoencoder", "text_encoder"):
        shutil.copytree(tiny_model / part, folder / part)
    config = UNET.model_copy(update={"temporal": NoTemporalLayers()})
    save_component(folder / "text-to-image/unet", randomise(VideoUNet(config)), config)
    model = task_config("text-to-image").model_copy(update={"num_frames": 1})
    write_json(folder / "text-to-image/model.json", model.model_dump(mode="json"))
    return folder
