"""The forecast of a step's memory for stages that denoise."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import assert_never

import torch
from transformers import CLIPTextModel

from videoldm.dataset.config import Bucket
from videoldm.inference.precision import DTYPES
from videoldm.models.adapters.fresh import put_stand_ins
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder, text_config
from videoldm.models.presets import MINI, SD21, SVD, ModelConfig
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import FROM_PICTURE
from videoldm.training.config import TrainingConfig
from videoldm.training.data.config import CuratedData, Data, WorldData
from videoldm.training.forecast import (
    Batch,
    Rehearsal,
    StepMemory,
    denoise,
    encoding_bytes,
    forecast_step,
    read_and_denoise,
    weight_bytes,
)
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.diffusion.start import set_trained
from videoldm.training.stages.dreambooth.config import DreamBoothStage, TrainedText
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.places import base_sizes


@dataclass(frozen=True)
class _Clips:
    """How many there are, and how long and large in pixels each is."""

    count: int
    num_frames: int
    height: int
    width: int


def step_memory(
    stage: DiffusionStage | LoraStage | DreamBoothStage, training: TrainingConfig, *, num_samples: int
) -> StepMemory | None:
    """The forecast of a step on a GPU whose micro-batches have that many samples a process.

    None where the sizes of the model that the stage starts from are not known.
    """
    match stage:
        case DiffusionStage():
            return _of_diffusion(stage, training, num_samples)
        case LoraStage():
            return _of_lora(stage, training, num_samples)
        case DreamBoothStage():
            return _of_dreambooth(stage, training, num_samples)
        case _:
            assert_never(stage)


def trained_unet(stage: DiffusionStage) -> VideoUNet:
    """The stage's UNet with nothing but what is trained taking gradients."""
    unet = VideoUNet(stage.unet)
    set_trained(unet, stage.trained, task=stage.model.task)
    return unet


def _of_diffusion(stage: DiffusionStage, training: TrainingConfig, num_samples: int) -> StepMemory:
    """The networks beside the UNet are taken to be of the preset that has the same latents and context."""
    model, preset = stage.model, _preset(stage)
    clips = _largest(stage.data, num_samples, num_frames=model.num_frames)
    return forecast_step(
        lambda: denoise(trained_unet(stage), _batch(preset, clips)),
        training,
        others=0 if preset is None else _weights_beside(preset),
        encoding=_encoding(preset, clips),
    )


def _of_lora(stage: LoraStage, training: TrainingConfig, num_samples: int) -> StepMemory | None:
    base = base_sizes(stage.base, stage.task)
    if base is None:
        return None
    networks = base.networks
    clips = _largest(stage.data, num_samples, num_frames=networks.num_frames)

    def make() -> Rehearsal:
        with default_dtype(DTYPES[stage.frozen_precision]):
            unet = VideoUNet(networks.unet).requires_grad_(False)
        put_stand_ins(unet, stage.preset, has_one_token=stage.task in FROM_PICTURE)
        return denoise(unet, _batch(networks, clips))

    return forecast_step(make, training, others=_weights_beside(networks), encoding=_encoding(networks, clips))


def greediest_bucket(data: CuratedData) -> Bucket:
    """The bucket whose batches have the most pixels."""
    return max(data.buckets, key=lambda one: one.num_frames * one.height * one.width * one.batch_size)


def _largest(data: Data, count: int, *, num_frames: int) -> _Clips:
    """Of rendered clips windows as long as the model's, of curated ones those of the greediest bucket."""
    match data:
        case WorldData(height=height, width=width):
            return _Clips(count, num_frames, height, width)
        case CuratedData():
            bucket = greediest_bucket(data)
            return _Clips(count, bucket.num_frames, bucket.height, bucket.width)
        case _:
            assert_never(data)


def _of_dreambooth(stage: DreamBoothStage, training: TrainingConfig, num_samples: int) -> StepMemory | None:
    base = base_sizes(stage.base, "text-to-image")
    if base is None:
        return None
    networks, text = base.networks, base.networks.text_encoder
    assert text is not None, "text-to-image reads text"
    batch = _batch(networks, _Clips(num_samples, 1, base.height, base.width))
    if not isinstance(stage.text_encoder, TrainedText):
        return forecast_step(
            lambda: denoise(VideoUNet(networks.unet), batch), training, others=_weights_beside(networks)
        )
    return forecast_step(
        lambda: read_and_denoise(VideoUNet(networks.unet), CLIPTextModel(text_config(text)), batch),
        training,
        others=_weights_beside(networks.model_copy(update={"text_encoder": None})),
    )


def _preset(stage: DiffusionStage) -> ModelConfig | None:
    """The networks that go with a UNet of these latents and context: of the two encoders the one that the task uses."""
    by_picture = stage.model.task in FROM_PICTURE
    unused = {"text_encoder": None} if by_picture else {"image_encoder": None}
    per_frame = {"autoencoder": SD21.autoencoder}
    for preset in (SVD.model_copy(update=per_frame) if by_picture else SD21, MINI.model_copy(update=unused)):
        fits = (preset.unet.in_channels, preset.unet.context_dim) == (stage.unet.in_channels, stage.unet.context_dim)
        if fits:
            return preset
    return None


def _batch(networks: ModelConfig | None, clips: _Clips) -> Batch:
    factor = 8 if networks is None else networks.autoencoder.factor
    text = None if networks is None else networks.text_encoder
    return Batch(
        num_samples=clips.count,
        num_frames=clips.num_frames,
        height=clips.height // factor,
        width=clips.width // factor,
        num_tokens=1 if text is None else text.max_tokens,
    )


def _weights_beside(networks: ModelConfig) -> int:
    """Of the autoencoder and the encoders."""
    text, image = networks.text_encoder, networks.image_encoder
    size = weight_bytes(lambda: Autoencoder(networks.autoencoder))
    size += 0 if text is None else weight_bytes(lambda: build_text_encoder(text))
    return size if image is None else size + weight_bytes(lambda: build_image_encoder(image))


def _encoding(networks: ModelConfig | None, clips: _Clips) -> int:
    """Of the pictures that clips are made from, where they are."""
    if networks is None or networks.image_encoder is None:
        return 0
    return encoding_bytes(networks.autoencoder, num_samples=clips.count, height=clips.height, width=clips.width)


@contextmanager
def default_dtype(dtype: torch.dtype) -> Generator[None]:
    """Of the networks that are built within the context: those without data cannot be cast."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
