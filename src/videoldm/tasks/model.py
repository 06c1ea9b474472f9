"""A video model: the networks of one task with their conditioners, in memory and as a folder."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection, PreTrainedModel
from transformers.utils import logging

from videoldm.checkpoints.native import load_autoencoder, load_unet
from videoldm.conditioners.image import ImageConditioner
from videoldm.conditioners.text import TextConditioner
from videoldm.core.errors import InputError
from videoldm.core.tensors import reading_tensors
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.preconditioning import Preconditioned
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.folder import content_hash, encoder_of, find_model, task_config

M = TypeVar("M", bound=PreTrainedModel)
DROPPABLE = frozenset({"text_projection.weight"})
"""Weights of an encoder that its conditioner does not use: contrastive training needs the projection of texts."""


@dataclass(frozen=True, kw_only=True)
class VideoModel:
    """All that one task needs; a conditioner that the task does not use is None."""

    name: str
    """As it was loaded, which is how the settings of its clips name it."""
    config: TaskModelConfig
    unet: VideoUNet
    autoencoder: Autoencoder
    text: TextConditioner | None = None
    image: ImageConditioner | None = None
    content_hash: str | None = None
    """Of the files that the model was loaded from; None for a model under training."""

    @property
    def device(self) -> torch.device:
        """Where the UNet is."""
        return next(self.unet.parameters()).device

    @property
    def denoiser(self) -> Denoiser:
        """The UNet as a denoiser of model latents."""
        return Preconditioned(self.unet, self.config.preconditioning)

    @property
    def text_conditioner(self) -> TextConditioner:
        """The text conditioner; the task must be one that reads text."""
        assert self.text is not None, f"{self.config.task} has no text encoder"
        return self.text

    @property
    def image_conditioner(self) -> ImageConditioner:
        """The image conditioner; the task must be one that sees a picture."""
        assert self.image is not None, f"{self.config.task} has no image encoder"
        return self.image

    def to_model_latents(self, raw: torch.Tensor) -> torch.Tensor:
        """Raw latents to those that are denoised."""
        return raw * self.autoencoder.config.scaling_factor

    def to_raw_latents(self, latents: torch.Tensor) -> torch.Tensor:
        """Denoised latents to those that the decoder reads."""
        return latents / self.autoencoder.config.scaling_factor


def load_model(name: str, task: TaskName, *, device: str | torch.device = "cpu") -> VideoModel:
    """A shipped model by name or any model folder by path, for one of its tasks, in float32.

    Raises InputError if there is no such model or it cannot do the task.
    """
    folder = find_model(name)
    config = task_config(name, folder, task)
    text, image = load_conditioners(folder, task, device)
    return VideoModel(
        name=name,
        config=config,
        unet=load_unet(folder / task / "unet")[0].to(device),
        autoencoder=load_autoencoder(folder / "autoencoder")[0].to(device),
        text=text,
        image=image,
        content_hash=content_hash(folder, task),
    )


def load_conditioners(
    folder: Path, task: TaskName, device: str | torch.device = "cpu"
) -> tuple[TextConditioner | None, ImageConditioner | None]:
    """Of the encoders in `folder`, the one that the task uses; the other is None."""
    encoder = folder / encoder_of(task)
    if encoder.name == "image_encoder":
        return None, load_image_conditioner(encoder, device)
    return load_text_conditioner(encoder, device), None


def load_text_conditioner(folder: Path, device: str | torch.device = "cpu") -> TextConditioner:
    """Text model and tokenizer of a folder in transformers' layout."""
    _check_component(folder, "config.json", "model.safetensors", "tokenizer.json")
    model = _pretrained(CLIPTextModel, folder)
    nn.Module.to(model, device)
    return TextConditioner(model, CLIPTokenizer.from_pretrained(folder))


def load_image_conditioner(folder: Path, device: str | torch.device = "cpu") -> ImageConditioner:
    """Image model of a folder in transformers' layout."""
    _check_component(folder, "config.json", "model.safetensors")
    model = _pretrained(CLIPVisionModelWithProjection, folder)
    nn.Module.to(model, device)
    return ImageConditioner(model)


def _pretrained(network: type[M], folder: Path) -> M:
    """The encoder in `folder`, frozen; its weights must be complete, as transformers would fill gaps with noise."""
    with _quiet_transformers(), reading_tensors(folder / "model.safetensors"):
        loaded: Any = network.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    model, report = loaded
    gaps = sorted([*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])])
    if gaps:
        raise InputError(f"{folder}: its weights lack {', '.join(gaps[:3])} ({len(gaps)} in all) or have other shapes")
    left_over = sorted(set(report["unexpected_keys"]) - DROPPABLE)
    if left_over:
        raise InputError(
            f"{folder}: its weights hold {', '.join(left_over[:3])} ({len(left_over)} in all), which no "
            f"{network.__name__} has"
        )
    return model.eval().requires_grad_(False)


def _check_component(folder: Path, *names: str) -> None:
    """Refuse an incomplete folder, whose path transformers would take for the name of a model on a hub."""
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise InputError(f"{folder}: has no {', '.join(missing)}, it should be the folder of an encoder")


@contextmanager
def _quiet_transformers() -> Generator[None]:
    """No progress bar, and no report that the text encoder's projection, which is not used here, was not loaded."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        logging.enable_progress_bar()
