"""Loading a model from its files: every network is read where it computes, or when it first works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn
from transformers import CLIPTextModel

from videoldm.checkpoints.part import ImageEncoder, TextEncoder, report_dropped
from videoldm.checkpoints.tokenizer import Tokenizer
from videoldm.conditioners.config import TextConditionerConfig
from videoldm.conditioners.image import ImageConditioner
from videoldm.conditioners.text import TextConditioner
from videoldm.inference.config import ALL_IN_MEMORY, MemoryPlan, Speed
from videoldm.inference.memory.residence import Residence, stream_blocks
from videoldm.models.adapters.low_rank import merge_for_good
from videoldm.pipelines.lora import LoraChoice, read_adapters
from videoldm.pipelines.parts import ModelParts
from videoldm.pipelines.reference import ModelFiles
from videoldm.tasks.config import TaskName
from videoldm.tasks.model import VideoModel


@dataclass(frozen=True, kw_only=True)
class LoadedModel(VideoModel):
    """A model that was loaded from files."""

    files: ModelFiles
    loras: tuple[LoraChoice, ...] = ()
    """The LoRAs merged into the UNet."""
    speed: Speed = "exact"
    """The rung of the speed ladder for clips that do not name one."""


def load_opened(
    files: ModelFiles,
    task: TaskName,
    *,
    loras: tuple[LoraChoice, ...] = (),
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    memory: MemoryPlan = ALL_IN_MEMORY,
) -> LoadedModel:
    """Load the model in `files`; its UNet computes in `dtype`, all else in float32.

    Under a plan by which idle networks leave, each is read when it first works.
    """
    parts = files.parts(task)
    report_dropped(files.ref.name, parts.dropped)
    image, text, temporal = parts.image_encoder, parts.text_encoder, parts.temporal_text_encoder
    model = LoadedModel(
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


def _readers(parts: ModelParts, model: LoadedModel, dtype: torch.dtype) -> dict[nn.Module, Callable[[], object]]:
    """Return what reads the weights of each network to where it computes; a UNet streamed by block, to host memory."""
    device = model.device
    adapters = read_adapters(model.unet, parts.lora, model.loras, has_one_token=model.has_one_token)
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


def _moved_in(model: LoadedModel, readers: Mapping[nn.Module, Callable[[], object]]) -> Residence:
    """Read what stays in memory; the rest is read when it works."""
    leaving = set[nn.Module](readers) if model.memory.has("idle-networks-leave") else set[nn.Module]()
    if model.memory.has("unet-by-block"):
        leaving.discard(model.unet)
    for network, read in readers.items():
        if network not in leaving:
            read()
    return Residence({network: read for network, read in readers.items() if network in leaving})


def load_conditioners(
    text: TextEncoder | None, image: ImageEncoder | None, tokenizer: Tokenizer | None, device: str | torch.device
) -> tuple[TextConditioner | None, ImageConditioner | None]:
    """Load encoders with their weights, each as the conditioner that uses it."""
    return (
        None if text is None else text_conditioner(text.load(device=device), tokenizer),
        None if image is None else ImageConditioner(image.load(device=device)),
    )


def text_conditioner(model: CLIPTextModel, tokenizer: Tokenizer | None) -> TextConditioner:
    """Return a text encoder with the tokenizer that goes with it."""
    assert tokenizer is not None
    return TextConditioner(model, tokenizer.load(), TextConditionerConfig(pad_id=tokenizer.pad_id))
