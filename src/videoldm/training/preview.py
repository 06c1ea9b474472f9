"""What a run would train and take, told without any weights or data."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from videoldm.core.config import GIB, read_config
from videoldm.dataset.order import BatchPlan
from videoldm.measures.feature_network import FeatureNetwork
from videoldm.models.adapters.fresh import num_lora_parameters
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.autoencoder.surgery import is_temporal
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder
from videoldm.models.discriminator.network import Discriminator
from videoldm.models.presets import SD21
from videoldm.models.unet.groups import group_of
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import FROM_PICTURE
from videoldm.tasks.folder import COMPONENT_FILE
from videoldm.training.data.config import WorldData
from videoldm.training.data.world import num_missing
from videoldm.training.forecast import StepMemory
from videoldm.training.inputs import curated_inputs
from videoldm.training.recipe import Recipe
from videoldm.training.stage_memory import greediest_bucket, step_memory, trained_unet
from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.dreambooth.config import DreamBoothStage, TrainedText
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.judge.config import JudgeStage
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.places import autoencoder_folder, base_sizes
from videoldm.training.stages.stage import Stage
from videoldm.training.stages.temporal_decoder.config import TemporalDecoderStage, VideoAdversary
from videoldm.training.stages.temporal_decoder.objective import start_autoencoder


@dataclass(frozen=True)
class Count:
    """Numbers of parameters."""

    trained: int
    frozen: int


def steps_line(recipe: Recipe) -> str:
    """How many samples in how many updates of the weights, of how many samples each."""
    training, curated = recipe.training, curated_inputs(recipe.stage).get("stage.data")
    number, sizes = math.ceil(training.num_samples / training.batch_size), f"{training.batch_size:,}"
    if curated is not None:
        number = BatchPlan(curated.buckets, seed=training.seed).num_batches(training.num_samples)
        smallest = min(bucket.batch_size for bucket in curated.buckets)
        sizes = sizes if smallest == training.batch_size else f"{smallest:,} to {sizes}"
    return f"{training.num_samples:,} samples in {number:,} steps of {sizes}"


def parameter_counts(stage: Stage) -> Mapping[str, Count]:
    """Parameters by what they are part of; empty for stages of which it is not known."""
    with torch.device("meta"):
        match stage:
            case DiffusionStage():
                unet = trained_unet(stage)
                return _counts((group_of(name), parameter) for name, parameter in unet.named_parameters())
            case AutoencoderStage(model=model):
                return _counts(("autoencoder", parameter) for parameter in Autoencoder(model).parameters())
            case EncodersStage(text=text, image=image):
                networks = {"text encoder": build_text_encoder(text), "image encoder": build_image_encoder(image)}
                return _counts((name, part) for name, network in networks.items() for part in network.parameters())
            case JudgeStage(model=model):
                return _counts(("judge", parameter) for parameter in FeatureNetwork(model).parameters())
            case LoraStage():
                return _of_lora(stage)
            case DreamBoothStage():
                return _of_dreambooth(stage)
            case TemporalDecoderStage():
                return _counts(_of_temporal_decoder(stage))


def preview(recipe: Recipe) -> list[str]:
    """The lines of a dry run: parameters, and memory or why it is not forecast."""
    stage, training = recipe.stage, recipe.training
    lines = _parameter_lines(parameter_counts(stage))
    if not isinstance(stage, DiffusionStage | LoraStage | DreamBoothStage):
        return [*lines, "memory of a step is not forecast: so far it is for stages that denoise"]
    one, two = (step_memory(stage, training, num_samples=count) for count in (1, 2))
    if one is None or two is None:
        return [*lines, "parameters and memory are not told: that takes the model of stage.base on this machine"]
    curated = curated_inputs(stage).get("stage.data")
    batch = training.batch_size if curated is None else greediest_bucket(curated).batch_size
    return lines + _memory_lines(one, two, micro_batch=batch // training.accumulation_steps)


def rendering(stage: Stage, cache: Path) -> list[str]:
    """What would be rendered before the first step, a line for each set of clips of the world."""
    if isinstance(stage, DreamBoothStage):
        return []
    lines: list[str] = []
    for key, data in (("stage.data", stage.data), ("stage.validation", stage.validation)):
        if isinstance(data, WorldData):
            size = f"{data.num_frames} frames of {data.height}x{data.width}"
            missing = num_missing(data, cache)
            todo = f"{missing:,} of them are rendered first, in {cache}" if missing else f"rendered already, in {cache}"
            lines.append(f"{key}: {data.num_clips:,} clips of {size}; {todo}")
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


def _memory_lines(one: StepMemory, two: StepMemory, *, micro_batch: int) -> list[str]:
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
        f"{(one.peak + (micro_batch - 1) * more) / GIB:.2f} GiB with the {micro_batch:,} of this recipe in one process",
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


def _of_lora(stage: LoraStage) -> Mapping[str, Count]:
    """Of a LoRA and of the UNet that it changes; empty if that is not known."""
    base = base_sizes(stage.base, stage.task)
    if base is None:
        return {}
    unet = VideoUNet(base.networks.unet).requires_grad_(False)
    trained = num_lora_parameters(unet, stage.preset, has_one_token=stage.task in FROM_PICTURE)
    frozen = _counts((group_of(name), parameter) for name, parameter in unet.named_parameters())
    return {"lora": Count(trained, 0), **frozen}


def _of_dreambooth(stage: DreamBoothStage) -> Mapping[str, Count]:
    """Of the UNet and the text encoder; empty if they are not known."""
    base = base_sizes(stage.base, "text-to-image")
    if base is None:
        return {}
    assert base.networks.text_encoder is not None, "text-to-image reads text"
    text = build_text_encoder(base.networks.text_encoder).requires_grad_(isinstance(stage.text_encoder, TrainedText))
    unet = VideoUNet(base.networks.unet)
    parts = [(group_of(name), parameter) for name, parameter in unet.named_parameters()]
    return _counts([*parts, *(("text encoder", parameter) for parameter in text.parameters())])


def _counts(parameters: Iterable[tuple[str, nn.Parameter]]) -> Mapping[str, Count]:
    trained, frozen = defaultdict[str, int](int), defaultdict[str, int](int)
    for name, parameter in parameters:
        trained[name] += parameter.numel() * parameter.requires_grad
        frozen[name] += parameter.numel() * (not parameter.requires_grad)
    return {name: Count(trained[name], frozen[name]) for name in trained}
