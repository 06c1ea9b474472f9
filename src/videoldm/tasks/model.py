"""A video model: the networks of one task with their conditioners, in memory and as a folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from videoldm.checkpoints.encoders import TextEncoder, image_encoder, load_tokenizer, text_encoder
from videoldm.conditioners.image import ImageConditioner
from videoldm.conditioners.text import TextConditioner
from videoldm.diffusion.denoiser import Denoiser, Network
from videoldm.diffusion.preconditioning import Preconditioned
from videoldm.inference.config import Reuse
from videoldm.inference.precision import in_precision_of
from videoldm.inference.reuse import Reusing
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.files import ModelFiles
from videoldm.tasks.folder import encoder_of
from videoldm.tasks.lora import LoraChoice, apply_loras, parse_loras
from videoldm.tasks.open import open_model


@dataclass(frozen=True, kw_only=True)
class VideoModel:
    """All that one task needs; a conditioner that the task does not use is None."""

    files: ModelFiles | None = None
    """Where it was loaded from; None for a model under training."""
    loras: tuple[LoraChoice, ...] = ()
    """What has been merged into the UNet."""
    config: TaskModelConfig
    unet: VideoUNet
    autoencoder: Autoencoder
    text: TextConditioner | None = None
    image: ImageConditioner | None = None

    @property
    def origin(self) -> ModelFiles:
        """Where it was loaded from; not to be asked of a model under training."""
        assert self.files is not None, "this model was not loaded from files"
        return self.files

    @property
    def device(self) -> torch.device:
        """Where the UNet is."""
        return next(self.unet.parameters()).device

    @property
    def denoiser(self) -> Denoiser:
        """The UNet as a denoiser of model latents."""
        return self._denoiser(self.unet)

    def denoiser_for_run(self, num_clips: int, reuse: Reuse | None) -> Denoiser:
        """The denoiser of one sampling run; with `reuse` it is not exact."""
        return self._denoiser(self.unet if reuse is None else Reusing(self.unet, reuse, num_clips=num_clips))

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
        """Denoised latents to those that the decoder reads, in its precision."""
        raw = latents / self.autoencoder.config.scaling_factor
        return raw.to(next(self.autoencoder.parameters()).dtype)

    def _denoiser(self, network: Network) -> Denoiser:
        return Preconditioned(in_precision_of(self.unet, network), self.config.preconditioning)


def load_model(
    name: str, task: TaskName, *, variant: str | None = None, lora: str = "", device: str | torch.device = "cpu"
) -> VideoModel:
    """A model by any name that `open_model` knows, for one of its tasks, in float32.

    `lora` merges LoRAs into it, as in "camera.safetensors:0.8,style.safetensors". Raises InputError if there is no such
    model or LoRA or it cannot do the task.
    """
    return load_opened(open_model(name, variant=variant), task, loras=parse_loras(lora) if lora else (), device=device)


def load_opened(
    files: ModelFiles,
    task: TaskName,
    *,
    loras: tuple[LoraChoice, ...] = (),
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> VideoModel:
    """The model in `files`; its UNet computes in `dtype`, all else in float32.

    The encoders come first: while transformers reads them they are in memory twice.
    """
    parts = files.parts(task)
    image, text = parts.image_encoder, parts.text_encoder
    model = VideoModel(
        files=files,
        loras=loras,
        config=files.config(task),
        image=None if image is None else ImageConditioner(image.load(device=device)),
        text=None if text is None else _text_conditioner(text, parts.tokenizer, device),
        autoencoder=parts.autoencoder.load(dtype=torch.float32, device=device).requires_grad_(False),
        unet=parts.unet.load(dtype=dtype, device=device).requires_grad_(False),
    )
    apply_loras(model.unet, loras, has_one_token=model.image is not None)
    return model


def load_conditioners(
    folder: Path, task: TaskName, device: str | torch.device = "cpu"
) -> tuple[TextConditioner | None, ImageConditioner | None]:
    """Of the encoders in a folder of ours, the one that the task uses; the other is None."""
    encoder = folder / encoder_of(task)
    if encoder.name == "image_encoder":
        return None, ImageConditioner(image_encoder(encoder).load(device=device))
    return _text_conditioner(text_encoder(encoder), encoder, device), None


def _text_conditioner(encoder: TextEncoder, tokenizer: Path | None, device: str | torch.device) -> TextConditioner:
    assert tokenizer is not None
    return TextConditioner(encoder.load(device=device), load_tokenizer(tokenizer))
