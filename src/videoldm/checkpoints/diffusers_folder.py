"""Pipelines in diffusers' layout: a folder with `model_index.json` and one folder a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import nn

from videoldm.checkpoints import diffusers as layout
from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.diffusers_config import (
    EulerScheduler,
    VideoAutoencoder,
    VideoUNet,
    read_diffusers_config,
)
from videoldm.checkpoints.encoders import CONFIG_FILE, image_encoder
from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.part import AutoencoderPart, Network, Part
from videoldm.checkpoints.stored import StoredTensor, stored_tensors
from videoldm.checkpoints.weights_file import weights_file
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import PRESETS
from videoldm.models.unet.config import UniformNormEps
from videoldm.models.unet.network import VideoUNet as UNet

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")

INDEX_FILE = "model_index.json"
WEIGHTS = "diffusion_pytorch_model"


def open_folder(folder: Path, *, variant: str | None = None) -> Checkpoint:
    """What the folder of a pipeline holds, all keys and shapes checked; no weights are read.

    `variant` names one of several precisions, such as "fp16"; without it the only one there is, or the one without a
    name, is taken. Raises InputError if a part is missing or does not fit.
    """
    unet_config = read_diffusers_config(folder / "unet" / CONFIG_FILE, VideoUNet)
    unet = _part(folder / "unet", variant, UNet, unet_config.to_native(), layout.unet)
    autoencoder = _autoencoder(folder / "vae", variant)
    encoder = image_encoder(folder / "image_encoder", variant=variant)
    for part in (unet, autoencoder, encoder.part):
        part.check()
    scheduler = folder / "scheduler" / "scheduler_config.json"
    texts = [folder / name / CONFIG_FILE for name in ("unet", "vae", "image_encoder")]
    tensors = [tensor for part in (unet, autoencoder, encoder.part) for tensor in part.tensors.values()]
    weights = {tensor.file for tensor in tensors if isinstance(tensor, StoredTensor)}
    return Checkpoint(
        source=folder,
        layout="diffusers",
        preset=_preset(unet_config),
        files=sorted({*texts, *weights, *([scheduler] if scheduler.is_file() else [])}),
        unet=unet,
        autoencoder=autoencoder,
        image_encoder=encoder,
        num_frames=unet_config.num_frames,
        scheduler=read_diffusers_config(scheduler, EulerScheduler) if scheduler.is_file() else None,
    )


def _autoencoder(folder: Path, variant: str | None) -> AutoencoderPart:
    config = read_diffusers_config(folder / CONFIG_FILE, VideoAutoencoder)
    return _part(folder, variant, Autoencoder, config.to_native(), layout.autoencoder)


def _part(
    folder: Path, variant: str | None, network: Network[M, C], config: C, map_of: Callable[[C], KeyMap]
) -> Part[M, C]:
    path = weights_file(folder, WEIGHTS, variant)
    tensors = stored_tensors(path)
    return Part(source=str(path), network=network, config=config, tensors=tensors, key_map=map_of(config))


def _preset(config: VideoUNet) -> str | None:
    """The published model with these sizes."""
    native = config.to_native().model_copy(update={"norm_eps": UniformNormEps()})
    for name, preset in PRESETS.items():
        if (preset.unet, preset.num_frames) == (native, config.num_frames):
            return name
    return None
