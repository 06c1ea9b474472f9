"""UNets published without the rest of their model, as distilled ones are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from videoldm.checkpoints import diffusers, sgm
from videoldm.checkpoints.keymap import KeyMap, under
from videoldm.checkpoints.lora import is_lora
from videoldm.checkpoints.part import UNetPart
from videoldm.checkpoints.single_file import UNET
from videoldm.checkpoints.weights_file import tensors_in
from videoldm.core.errors import InputError
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet

MIN_SHARE = 0.5
"""Of the tensors in a file whose names must fit."""


def open_unet(path: Path, config: UNetConfig, *, allow_pickle: bool = False) -> UNetPart:
    """The UNet in a file of its own, all keys and shapes checked, in whichever layout fits best.

    Raises InputError if the file is no such UNet of these sizes.
    """
    tensors = tensors_in(path, allow_pickle=allow_pickle)
    if is_lora(list(tensors)):
        raise InputError(f"{path}: is a LoRA and no UNet: give it with --lora")
    key_map = max(_key_maps(config), key=lambda key_map: _share(key_map, tensors))
    if _share(key_map, tensors) < MIN_SHARE:
        raise InputError(f"{path}: holds no UNet of this model, its {len(tensors)} tensors begin with {min(tensors)}")
    part = UNetPart(source=str(path), network=VideoUNet, config=config, tensors=tensors, key_map=key_map)
    part.check()
    return part


def is_unet(tensors: Collection[str], config: UNetConfig) -> bool:
    """Whether tensors of these names are a UNet alone, of the form of the given one."""
    return any(_share(key_map, tensors) >= MIN_SHARE for key_map in _key_maps(config))


def _key_maps(config: UNetConfig) -> list[KeyMap]:
    return [diffusers.unet(config), sgm.unet(config), KeyMap(under("", UNET, sgm.unet_names(config)))]


def _share(key_map: KeyMap, tensors: Collection[str]) -> float:
    """How many of the names are those of a UNet in one layout."""
    return sum(bool(key_map.native_keys(key)) for key in tensors) / len(tensors)
