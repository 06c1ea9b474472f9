"""Pipelines in diffusers' layout: a folder with `model_index.json` and one folder a network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from torch import nn
from transformers import CLIPVisionModelWithProjection

from videoldm.checkpoints import diffusers as layout
from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.diffusers_config import (
    EulerScheduler,
    VideoAutoencoder,
    VideoUNet,
    read_diffusers_config,
)
from videoldm.checkpoints.encoders import EncoderFolder
from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.part import AutoencoderPart, Network, Part
from videoldm.checkpoints.stored import INDEX_ENDING, stored_tensors
from videoldm.core.errors import InputError
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import PRESETS
from videoldm.models.unet.config import UniformNormEps
from videoldm.models.unet.network import VideoUNet as UNet

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")

INDEX_FILE = "model_index.json"
CONFIG_FILE = "config.json"
WEIGHTS = "diffusion_pytorch_model"
PICKLES = (".bin", ".pt", ".pth", ".ckpt")


def open_folder(folder: Path, *, variant: str | None = None) -> Checkpoint:
    """What the folder of a pipeline holds, all keys and shapes checked; no weights are read.

    `variant` names one of several precisions, such as "fp16"; without it the only one there is, or the one without a
    name, is taken. Raises InputError if a part is missing or does not fit.
    """
    unet_config = read_diffusers_config(folder / "unet" / CONFIG_FILE, VideoUNet)
    unet = _part(folder / "unet", variant, UNet, unet_config.to_native(), layout.unet)
    autoencoder = _autoencoder(folder / "vae", variant)
    encoder = folder / "image_encoder"
    image_encoder = EncoderFolder(
        folder=encoder, network=CLIPVisionModelWithProjection, variant=_variant_of(encoder, "model", variant)
    )
    for part in (unet, autoencoder, image_encoder):
        part.check()
    scheduler = folder / "scheduler" / "scheduler_config.json"
    parts = (folder / name for name in ("unet", "vae", "image_encoder", "scheduler"))
    return Checkpoint(
        source=folder,
        layout="diffusers",
        preset=_preset(unet_config),
        files=sorted(path for part in parts for path in part.glob("*") if path.is_file()),
        unet=unet,
        autoencoder=autoencoder,
        image_encoder=image_encoder,
        num_frames=unet_config.num_frames,
        embedding_dim=unet_config.addition_time_embed_dim,
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


def weights_file(folder: Path, stem: str, variant: str | None) -> Path:
    """The file with a network's weights, or the index of several; raises InputError if there is none."""
    names = _weights_names(stem, _variant_of(folder, stem, variant))
    found = [folder / name for name in names if (folder / name).is_file()]
    if found:
        return found[0]
    pickles = sorted(path.name for path in folder.glob(f"{stem}*") if path.suffix in PICKLES)
    if pickles:
        raise InputError(
            f"{folder / pickles[0]}: is a pickle, which can run any code when it is read: convert it to safetensors "
            "where you trust it"
        )
    raise InputError(f"{folder}: has no {names[0]}, it should hold the weights of a network")


def _variant_of(folder: Path, stem: str, wanted: str | None) -> str | None:
    """The variant to read: the one asked for if it is there, else the nameless one, else the only one there is."""
    if wanted is not None and any((folder / name).is_file() for name in _weights_names(stem, wanted)):
        return wanted
    if any((folder / name).is_file() for name in _weights_names(stem, None)):
        return None
    others = {path.name.split(".")[1] for path in folder.glob(f"{stem}.*.safetensors*")}
    return others.pop() if len(others) == 1 else None


def _weights_names(stem: str, variant: str | None) -> list[str]:
    ending = ".safetensors" if variant is None else f".{variant}.safetensors"
    index = f"{stem}.safetensors{INDEX_ENDING.removesuffix('.json')}"
    return [f"{stem}{ending}", f"{index}.json" if variant is None else f"{index}.{variant}.json"]


def _preset(config: VideoUNet) -> str | None:
    """The published model with these sizes."""
    native = config.to_native().model_copy(update={"norm_eps": UniformNormEps()})
    for name, preset in PRESETS.items():
        if (preset.unet, preset.num_frames) == (native, config.num_frames):
            return name
    return None
