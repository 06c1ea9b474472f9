"""What a run would train and take, told without any weights or data."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from videoldm.core.config import read_config
from videoldm.core.numbers import GIB
from videoldm.measures.features.network import FeatureNetwork
from videoldm.models.adapters.fresh import num_lora_parameters
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.autoencoder.surgery import is_temporal
from videoldm.models.clip.build import build_image_encoder, build_text_encoder
from videoldm.models.discriminator.network import Discriminator
from videoldm.models.presets import MINI, SD21, SVD, ModelConfig
from videoldm.models.unet.groups import group_of
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import FROM_PICTURE
from videoldm.tasks.folder import COMPONENT_FILE
from videoldm.tasks.open import open_for_task
from videoldm.training.config import TrainingConfig
from videoldm.training.forecast import Batch, StepMemory, encoding_bytes, forecast_step, weight_bytes
from videoldm.training.recipe import Recipe
from videoldm.training.stages.config import AutoencoderStage, DiffusionStage, EncodersStage, JudgeStage, Stage
from videoldm.training.stages.dreambooth_config import DreamBoothStage
from videoldm.training.stages.lora_config import LoraStage
from videoldm.training.stages.places import autoencoder_folder, local_path
from videoldm.training.stages.start import set_trained
from videoldm.training.stages.temporal_decoder import start_autoencoder
from videoldm.training.stages.temporal_decoder_config import TemporalDecoderStage, VideoAdversary


@dataclass(frozen=True)
class Count:
    """Numbers of parameters."""

    trained: int
    frozen: int


def num_steps(training: TrainingConfig) -> int:
    """Updates of the weights in a whole run."""
    return math.ceil(training.num_samples / training.batch_size)


def parameter_counts(stage: Stage) -> Mapping[str, Count]:
    """Parameters by what they are part of; empty for stages of which it is not known."""
    with torch.device("meta"):
        match stage:
            case DiffusionStage():
                unet = _unet(stage)
                return _counts((group_of(name), parameter) for name, parameter in unet.named_parameters())
            case AutoencoderStage(model=model):
                return _counts(("autoencoder", parameter) for parameter in Autoencoder(model).parameters())
            case EncodersStage(text=text, image=image):
                networks = {"text encoder": build_text_encoder(text), "image encoder": build_image_encoder(image)}
                return _counts((name, part) for name, network in networks.items() for part in network.parameters())
            case JudgeStage(model=model):
                return _counts(("judge", parameter) for parameter in FeatureNetwork(model).parameters())
            case LoraStage():
                return _lora_counts(stage)
            case DreamBoothStage():
                return {}
            case TemporalDecoderStage():
                return _counts(_of_temporal_decoder(stage))


def step_memory(stage: DiffusionStage, training: TrainingConfig, *, num_samples: int) -> StepMemory:
    """The forecast of a step on a GPU whose micro-batches have that many samples a process.

    The networks beside the UNet are taken to be of the preset that has the same latents and context.
    """
    preset = _preset(stage)
    by_picture = stage.model.task in FROM_PICTURE
    others, encoding, num_tokens, factor = 0, 0, 1, 8
    if preset is not None:
        autoencoder, factor = preset.autoencoder, preset.autoencoder.factor
        others = weight_bytes(lambda: Autoencoder(autoencoder)) + _encoder_bytes(preset)
        num_tokens = 1 if preset.text_encoder is None else preset.text_encoder.max_tokens
        if by_picture:
            encoding = _encoding(stage, autoencoder, num_samples)
    batch = Batch(
        num_samples=num_samples,
        num_frames=stage.model.num_frames,
        height=stage.model.height // factor,
        width=stage.model.width // factor,
        num_tokens=num_tokens,
    )
    return forecast_step(lambda: _unet(stage), batch, training, others=others, encoding=encoding)


def preview(recipe: Recipe) -> list[str]:
    """The lines of a dry run: parameters, and for diffusion stages memory."""
    stage, training = recipe.stage, recipe.training
    lines = _parameter_lines(parameter_counts(stage))
    if isinstance(stage, DiffusionStage):
        lines += _memory_lines(*(step_memory(stage, training, num_samples=count) for count in (1, 2)))
    return lines


def _parameter_lines(counts: Mapping[str, Count]) -> list[str]:
    if not counts:
        return []
    total = Count(sum(count.trained for count in counts.values()), sum(count.frozen for count in counts.values()))
    rows = [*counts.items(), ("all", total)]
    return [
        f"{'parameters':<22}{'trained':>15}{'frozen':>15}",
        *(f"{name:<22}{count.trained:>15,}{count.frozen:>15,}" for name, count in rows),
    ]


def _memory_lines(one: StepMemory, two: StepMemory) -> list[str]:
    parts = {
        "weights": one.weights,
        "optimizer": one.optimizer,
        "average": one.average,
        "autoencoder and encoder": one.others,
    }
    in_turn = {
        "conditions of one sample": one.encoding,
        "its activations and gradients": one.computing,
        "gradients": one.gradients,
    }
    more = max(two.encoding, two.computing) - max(one.encoding, one.computing)
    return [
        f"memory of a step on a GPU, forecast, GiB: {_listed(parts)}; in turn {_listed(in_turn)}",
        f"at most {one.peak / GIB:.2f} GiB with one sample in a micro-batch, {more / GIB:.2f} GiB for each further one",
    ]


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size / GIB:.2f}" for name, size in sizes.items() if size)


def _of_temporal_decoder(stage: TemporalDecoderStage) -> Iterator[tuple[str, nn.Parameter]]:
    """A model from the hub is taken to have Stable Diffusion's autoencoder."""
    path = autoencoder_folder(stage.autoencoder)
    config = SD21.autoencoder if path is None else read_config(path / COMPONENT_FILE, AutoencoderConfig)
    for name, parameter in start_autoencoder(Autoencoder(config), stage, seed=0).named_parameters():
        yield "temporal layers" if is_temporal(name) else name.split(".")[0], parameter
    if isinstance(stage.adversary, VideoAdversary):
        for parameter in Discriminator(stage.adversary.model).parameters():
            yield "discriminator", parameter


def _unet(stage: DiffusionStage) -> VideoUNet:
    unet = VideoUNet(stage.unet)
    set_trained(unet, stage.trained, task=stage.model.task)
    return unet


def _lora_counts(stage: LoraStage) -> Mapping[str, Count]:
    """Of a LoRA and the UNet that it changes; empty for one that is still on the hub."""
    if local_path(stage.base) is None:
        return {}
    unet = open_for_task(stage.base, stage.task).parts(stage.task).unet.empty().requires_grad_(False)
    has_one_token = stage.task in FROM_PICTURE
    trained = num_lora_parameters(unet, stage.preset, has_one_token=has_one_token)
    frozen = _counts((group_of(name), parameter) for name, parameter in unet.named_parameters())
    return {"lora": Count(trained, 0), **frozen}


def _counts(parameters: Iterable[tuple[str, nn.Parameter]]) -> Mapping[str, Count]:
    trained, frozen = defaultdict[str, int](int), defaultdict[str, int](int)
    for name, parameter in parameters:
        trained[name] += parameter.numel() * parameter.requires_grad
        frozen[name] += parameter.numel() * (not parameter.requires_grad)
    return {name: Count(trained[name], frozen[name]) for name in trained}


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


def _encoder_bytes(preset: ModelConfig) -> int:
    text, image = preset.text_encoder, preset.image_encoder
    size = 0 if text is None else weight_bytes(lambda: build_text_encoder(text))
    return size if image is None else size + weight_bytes(lambda: build_image_encoder(image))


def _encoding(stage: DiffusionStage, autoencoder: AutoencoderConfig, num_samples: int) -> int:
    return encoding_bytes(autoencoder, num_samples=num_samples, height=stage.model.height, width=stage.model.width)
