"""Single files: original checkpoints that hold a whole model, recognised by their keys and shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import nn

from videoldm.checkpoints import single_file
from videoldm.checkpoints.bare_unet import is_unet
from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.diffusers_image_config import SD_SCHEDULER, ImageScheduler
from videoldm.checkpoints.encoders import Encoder
from videoldm.checkpoints.keymap import KeyMap, Shape
from videoldm.checkpoints.loading import check_shapes
from videoldm.checkpoints.lora import is_lora
from videoldm.checkpoints.part import Network, Part
from videoldm.checkpoints.tokenizer import tokenizer_beside
from videoldm.checkpoints.weights_file import FileTensors, tensors_in
from videoldm.core.errors import InputError
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.build import build_image_encoder, build_text_encoder
from videoldm.models.presets import PRESETS, ModelConfig
from videoldm.models.unet.network import VideoUNet

M = TypeVar("M", bound=nn.Module)
C = TypeVar("C")

LAYOUTS: Mapping[str, Callable[[ModelConfig], KeyMap]] = {
    "svd": single_file.svd,
    "svd-xt": single_file.svd,
    "svd-image-decoder": single_file.svd,
    "svd-xt-image-decoder": single_file.svd,
    "sv3d-u": single_file.sv3d,
    "sv3d-p": single_file.sv3d,
    "sd-2.1": single_file.stable_diffusion,
    "sd-x4-upscaler": single_file.stable_diffusion,
}
"""How the file of each published model is laid out."""
BASE = {"base", "512"}
"""Words in the names of the files of Stable Diffusion 2's bases."""
MIN_SHARE = 0.5
"""Of its tensors that a file has in common with the layout that it is taken for."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The file of one published model: its map, and the name and shape of every tensor that it must hold."""

    preset: str
    config: ModelConfig
    key_map: KeyMap
    shapes: Mapping[str, Shape]

    def share(self, tensors: FileTensors) -> float:
        """How much of the layout is in a file and fits."""
        fitting = sum(key in tensors and tensors[key].shape == shape for key, shape in self.shapes.items())
        return fitting / len(self.shapes)


def open_file(path: Path, *, allow_pickle: bool = False) -> Checkpoint:
    """What a single file holds, all keys and shapes checked; no weights are read.

    What tensors do not tell, the file's name does: "xt" is SVD-XT, "base" or "512" is the base of Stable Diffusion 2.1,
    which predicts noise. A tokenizer is looked for beside the file.
    Raises InputError if the file is no model that we know, or is one with tensors missing, left over or misshapen.
    """
    tensors = tensors_in(path, allow_pickle=allow_pickle)
    if is_lora(list(tensors)):
        raise InputError(f"{path}: is a LoRA, which goes with a model: give it with --lora")
    layout = recognise(tensors, name=path.stem)
    if layout is None and is_unet(tensors, PRESETS["svd"].unet):
        raise InputError(f"{path}: is a UNet alone: give it with --unet, and its model with --model")
    if layout is None:
        first = ", ".join(sorted(tensors)[:3])
        raise InputError(f"{path}: is none of {', '.join(LAYOUTS)}: its {len(tensors)} tensors begin with {first}")
    dropped = check_shapes(tensors, layout.shapes, layout.key_map.droppable, source=str(path))
    config, child = layout.config, _Children(path, tensors, layout.key_map).part
    image, text = config.image_encoder, config.text_encoder
    return Checkpoint(
        source=path,
        layout="sgm",
        preset=layout.preset,
        files=[path],
        unet=child("unet", VideoUNet, config.unet),
        autoencoder=child("autoencoder", Autoencoder, config.autoencoder),
        image_encoder=image and Encoder(child("image_encoder", build_image_encoder, image)),
        text_encoder=text and Encoder(child("text_encoder", build_text_encoder, text)),
        tokenizer=tokenizer_beside(path) if text else None,
        num_frames=config.num_frames,
        scheduler=_scheduler(config, path.stem),
        dropped=tuple(dropped),
    )


def recognise(tensors: FileTensors, *, name: str) -> Layout | None:
    """The layout that has most in common with a file; `name` decides between those that hold equal tensors."""
    has_xt = "xt" in _words(name)
    layouts = {preset: layout_of(preset) for preset in LAYOUTS}
    shares = {preset: layout.share(tensors) for preset, layout in layouts.items()}
    best = max(shares, key=lambda preset: (shares[preset], ("-xt" in preset) == has_xt))
    return layouts[best] if shares[best] >= MIN_SHARE else None


def _scheduler(config: ModelConfig, name: str) -> ImageScheduler | None:
    """That of a model that draws; no file holds it."""
    if config.text_encoder is None or config.unet.num_noise_indices is not None:
        return None
    return SD_SCHEDULER.model_copy(update={"prediction_type": _prediction(name)})


def predicts_alike(scheduler: ImageScheduler, file: Path) -> bool:
    """Whether a file of this name is taken for a model that predicts what the scheduler expects."""
    return scheduler.prediction_type == _prediction(file.stem)


def _prediction(name: str) -> Literal["epsilon", "v_prediction"]:
    return "epsilon" if BASE & _words(name) else "v_prediction"


def _words(name: str) -> set[str]:
    return set(name.lower().replace("-", "_").split("_"))


@cache
def layout_of(preset: str) -> Layout:
    """The file of a published model."""
    config = PRESETS[preset]
    key_map = LAYOUTS[preset](config)
    with torch.device("meta"):
        children: dict[str, nn.Module] = {
            "unet": VideoUNet(config.unet),
            "autoencoder": Autoencoder(config.autoencoder),
        }
        if config.image_encoder is not None:
            children["image_encoder"] = build_image_encoder(config.image_encoder)
        if config.text_encoder is not None:
            children["text_encoder"] = build_text_encoder(config.text_encoder)
    shapes = key_map.foreign_shapes(nn.ModuleDict(children).state_dict())
    return Layout(preset=preset, config=config, key_map=key_map, shapes=shapes)


@dataclass(frozen=True)
class _Children:
    """The networks that a whole file's map leads to."""

    path: Path
    tensors: FileTensors
    key_map: KeyMap

    def part(self, name: str, network: Network[M, C], config: C) -> Part[M, C]:
        """One of them."""
        prefix = f"{name}."
        names = {
            ours.removeprefix(prefix): theirs for ours, theirs in self.key_map.names.items() if ours.startswith(prefix)
        }
        own = {
            key: tensor
            for key, tensor in self.tensors.items()
            if any(native.startswith(prefix) for native in self.key_map.native_keys(key))
        }
        return Part(source=str(self.path), network=network, config=config, tensors=own, key_map=KeyMap(names))
