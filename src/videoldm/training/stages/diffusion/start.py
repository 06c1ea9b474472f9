"""Start of a diffusion stage: its UNet with the weights it starts from, and the networks beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, assert_never

import torch

from videoldm.checkpoints.layouts.native import load_autoencoder
from videoldm.conditioners.image import ImageConditioner
from videoldm.conditioners.text import TextConditioner
from videoldm.core.errors import InputError
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.groups import idle_with_one_token, is_temporal
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.surgery import grow_unet
from videoldm.pipelines.load import load_conditioners
from videoldm.pipelines.open import open_model
from videoldm.pipelines.parts import ModelParts, encoders_in
from videoldm.tasks.config import TaskName
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.training.stages.diffusion.config import (
    AllParameters,
    DiffusionStage,
    FromModel,
    FromScratch,
    TemporalParameters,
    TimeEmbedding,
    Trained,
)
from videoldm.training.stages.places import is_component, is_export_of_encoders


def start_model(stage: DiffusionStage, device: str) -> VideoModel:
    """Load all networks of a stage, with those parameters of the UNet frozen that are not trained.

    Weights that are new are drawn from torch's global generator, as in every constructor of a module.
    Raises InputError if the parts do not fit together.
    """
    text, image = _conditioners(stage.encoders, stage.model.task, device)
    autoencoder = autoencoder_at(stage.autoencoder)
    _check_widths(
        stage, autoencoder.config.latent_channels, [part.context_dim for part in (text, image) if part is not None]
    )
    unet = _checked(start_unet(stage), stage).to(device)
    set_trained(unet, stage.trained, task=stage.model.task)
    return VideoModel(
        config=stage.model,
        unet=unet,
        autoencoder=autoencoder.requires_grad_(False).to(device),
        text=text,
        image=image,
        place=torch.device(device),  # shards of the UNet may wait elsewhere
    )


def start_unet(stage: DiffusionStage) -> VideoUNet:
    """Build the UNet with the weights that the stage starts from, in float32 on the CPU."""
    match stage.start:
        case FromScratch():
            return VideoUNet(stage.unet)
        case FromModel(model=model):
            return grow_unet(_parts(model, stage.model.task).unet.load(dtype=torch.float32), stage.unet)
        case _:
            assert_never(stage.start)


def trained_unet(stage: DiffusionStage) -> VideoUNet:
    """Build the stage's UNet with random weights, of which only what is trained requires gradients."""
    unet = VideoUNet(stage.unet)
    set_trained(unet, stage.trained, task=stage.model.task)
    return unet


def set_trained(unet: VideoUNet, trained: Trained, *, task: TaskName) -> None:
    """Freeze all parameters that are not trained, and those that cannot learn from a context of one token."""
    for name, parameter in unet.named_parameters():
        parameter.requires_grad_(_is_trained(name, trained))
    if task_named(task).has_one_token:
        for parameter in idle_with_one_token(unet):
            parameter.requires_grad_(False)


def _is_trained(name: str, trained: Trained) -> bool:
    match trained:
        case AllParameters():
            return True
        case TemporalParameters():
            return is_temporal(name)
        case TimeEmbedding():
            return name.startswith("time_embedding.")
        case _:
            assert_never(trained)


def autoencoder_at(place: str) -> Autoencoder:
    """Load the autoencoder of a model, or of the run that exported it alone, in float32 on the CPU."""
    if is_component(place):
        return load_autoencoder(Path(place))
    return _parts(place).autoencoder.load(dtype=torch.float32)


def _conditioners(place: str, task: TaskName, device: str) -> tuple[TextConditioner | None, ImageConditioner | None]:
    """Load the encoders at a place that the task uses; the others are None."""
    if is_export_of_encoders(place):
        return load_conditioners(*encoders_in(Path(place), task), device)
    parts, encoders = _parts(place, task), task_named(task).encoders
    found = {"text_encoder": parts.text_encoder, "image_encoder": parts.image_encoder}
    missing = [name for name in encoders if found[name] is None]
    if missing:
        raise InputError(f"model {place} can do {', '.join(open_model(place).tasks)}, so it has no {missing[0]}")
    text = parts.text_encoder if "text_encoder" in encoders else None
    image = parts.image_encoder if "image_encoder" in encoders else None
    return load_conditioners(text, image, parts.tokenizer, device)


def _parts(model: str, task: TaskName | None = None) -> ModelParts:
    """Return the networks of a model in the nearest of its tasks: `task`, or one with the same encoders, or any."""
    files = open_model(model)
    if not files.tasks:
        raise InputError(f"model {model} supports none of the known tasks, a stage needs one that does")
    if task is None:
        return files.parts(files.tasks[0])
    encoders = task_named(task).encoders
    return files.parts(min(files.tasks, key=lambda other: (other != task, task_named(other).encoders != encoders)))


def _check_widths(stage: DiffusionStage, latent_channels: int, context_dims: Sequence[int]) -> None:
    """Raise InputError for a UNet that takes other latents or another context than the networks beside it give."""
    sizes = [("in_channels", latent_channels), ("out_channels", latent_channels)]
    if stage.unet.concat_channels:
        sizes.append(("concat_channels", latent_channels))
    sizes += [("context_dim", dim) for dim in context_dims]
    for key, value in sizes:
        if getattr(stage.unet, key) != value:
            raise InputError(
                f"stage.unet.{key} is {getattr(stage.unet, key)}, stage.autoencoder and stage.encoders need {value}"
            )


def _checked(unet: VideoUNet, stage: DiffusionStage) -> VideoUNet:
    """Raise InputError if the weights that the stage starts from are not those of the UNet that it describes."""
    there, described = _sizes(unet.config), _sizes(stage.unet)
    differing = [key for key in described if there[key] != described[key]]
    if differing:
        raise InputError(
            f"stage.unet has {', '.join(f'{key}={described[key]}' for key in differing)}, but the weights of "
            f"stage.start have {', '.join(f'{key}={there[key]}' for key in differing)}"
        )
    return unet


def _sizes(config: UNetConfig) -> dict[str, Any]:
    """Return a configuration in which equal sizes are written alike."""
    levels = range(len(config.channels))
    return config.model_dump() | {"head_channels": tuple(config.head_channels_at(level) for level in levels)}
