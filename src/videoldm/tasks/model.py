"""A video model: the networks of one task with their conditioners, in memory and as a folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import nn
from transformers import CLIPTextModel

from videoldm.checkpoints.layouts.transformers import open_image_encoder, open_text_encoder
from videoldm.checkpoints.part import tell_of_dropped
from videoldm.checkpoints.tokenizer import Tokenizer
from videoldm.conditioners.config import TextConditionerConfig
from videoldm.conditioners.image import ImageConditioner
from videoldm.conditioners.text import TextConditioner
from videoldm.diffusion.denoiser import Denoiser, Network, Preconditioned
from videoldm.inference.config import ALL_IN_MEMORY, MemoryPlan, Reuse
from videoldm.inference.memory.residence import ALL_STAY, Residence, stream_blocks
from videoldm.inference.precision import in_precision_of
from videoldm.inference.reuse import Reusing
from videoldm.models.adapters.low_rank import merge_for_good
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.files import ModelFiles
from videoldm.tasks.folder import encoder_of
from videoldm.tasks.lora import LoraChoice, parse_loras, read_adapters
from videoldm.tasks.open import open_model
from videoldm.tasks.parts import ModelParts


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
    temporal_text: TextConditioner | None = None
    """What the temporal layers read with; None for `text`."""
    image: ImageConditioner | None = None
    place: torch.device | None = None
    """Where the networks compute; None for where the UNet is."""
    memory: MemoryPlan = ALL_IN_MEMORY
    residence: Residence = ALL_STAY

    @property
    def origin(self) -> ModelFiles:
        """Where it was loaded from; not to be asked of a model under training."""
        assert self.files is not None, "this model was not loaded from files"
        return self.files

    @property
    def device(self) -> torch.device:
        """Where the networks compute."""
        return self.place or next(self.unet.parameters()).device

    def at_work(self, network: nn.Module) -> AbstractContextManager[None]:
        """One of the networks has its weights inside the context."""
        return self.residence.at_work(network)

    @property
    def denoiser(self) -> Denoiser:
        """The UNet as a denoiser of model latents."""
        return self._denoiser(self.unet)

    def denoiser_for_run(self, reuse: Reuse | None) -> Denoiser:
        """The denoiser of one sampling run; with `reuse` it is not exact."""
        return self._denoiser(self.unet if reuse is None else Reusing(self.unet, reuse))

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
    memory: MemoryPlan = ALL_IN_MEMORY,
) -> VideoModel:
    """The model in `files`; its UNet computes in `dtype`, all else in float32.

    Under a plan by which idle networks leave, each is read when it first works.
    """
    parts = files.parts(task)
    tell_of_dropped(files.name, parts.dropped)
    image, text, temporal = parts.image_encoder, parts.text_encoder, parts.temporal_text_encoder
    model = VideoModel(
        files=files,
        loras=loras,
        config=files.config(task),
        place=torch.device(device),
        memory=memory,
        image=None if image is None else ImageConditioner(image.empty()),
        text=None if text is None else text_conditioner(text.empty(), parts.tokenizer),
        temporal_text=None if temporal is None else text_conditioner(temporal.empty(), parts.tokenizer),
        autoencoder=parts.autoencoder.empty().requires_grad_(False),
        unet=parts.unet.empty().to(dtype).requires_grad_(False),
    )
    return replace(model, residence=_moved_in(model, _readers(parts, model, dtype)))


def _readers(parts: ModelParts, model: VideoModel, dtype: torch.dtype) -> dict[nn.Module, Callable[[], object]]:
    """What reads the weights of each network to where it computes; a UNet that comes by block, to the host's memory."""
    device = model.device
    adapters = read_adapters(model.unet, model.loras, has_one_token=model.image is not None)
    readers: dict[nn.Module, Callable[[], object]] = {}
    if model.image is not None and parts.image_encoder is not None:
        readers[model.image.model] = partial(parts.image_encoder.fill, model.image.model, device=device)
    if model.text is not None and parts.text_encoder is not None:
        readers[model.text.model] = partial(parts.text_encoder.fill, model.text.model, device=device)
    if model.temporal_text is not None and parts.temporal_text_encoder is not None:
        readers[model.temporal_text.model] = partial(
            parts.temporal_text_encoder.fill, model.temporal_text.model, device=device
        )
    readers[model.autoencoder] = partial(parts.autoencoder.fill, model.autoencoder, dtype=torch.float32, device=device)

    def read_unet() -> None:
        is_streamed = model.memory.has("unet-by-block")
        parts.unet.fill(model.unet, dtype=dtype, device="cpu" if is_streamed else device)
        merge_for_good(model.unet, adapters)
        if is_streamed:
            stream_blocks(model.unet, device)

    readers[model.unet] = read_unet
    return readers


def _moved_in(model: VideoModel, readers: Mapping[nn.Module, Callable[[], object]]) -> Residence:
    """Read what stays in memory; the rest is read when it works."""
    leaving = set[nn.Module](readers) if model.memory.has("idle-networks-leave") else set[nn.Module]()
    if model.memory.has("unet-by-block"):
        leaving.discard(model.unet)
    for network, read in readers.items():
        if network not in leaving:
            read()
    return Residence({network: read for network, read in readers.items() if network in leaving})


def load_conditioners(
    folder: Path, task: TaskName, device: str | torch.device = "cpu"
) -> tuple[TextConditioner | None, ImageConditioner | None]:
    """Of the encoders in a folder of ours, the one that the task uses; the other is None."""
    encoder = folder / encoder_of(task)
    if encoder.name == "image_encoder":
        return None, ImageConditioner(open_image_encoder(encoder).load(device=device))
    return text_conditioner(open_text_encoder(encoder).load(device=device), Tokenizer(encoder)), None


def text_conditioner(model: CLIPTextModel, tokenizer: Tokenizer | None) -> TextConditioner:
    """A text encoder with the tokenizer that goes with it."""
    assert tokenizer is not None
    return TextConditioner(model, tokenizer.load(), TextConditionerConfig(pad_id=tokenizer.pad_id))
