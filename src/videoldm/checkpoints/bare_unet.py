"""UNets published without the rest of their model, as distilled ones are."""

from __future__ import annotations

from pathlib import Path

from videoldm.checkpoints import diffusers, sgm
from videoldm.checkpoints.keymap import KeyMap, under
from videoldm.checkpoints.part import UNetPart
from videoldm.checkpoints.single_file import UNET
from videoldm.checkpoints.weights_file import tensors_in
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet


def open_unet(path: Path, config: UNetConfig, *, allow_pickle: bool = False) -> UNetPart:
    """The UNet in a file of its own, all keys and shapes checked, in whichever layout fits best.

    Raises InputError if the file is no such UNet of these sizes.
    """
    tensors = tensors_in(path, allow_pickle=allow_pickle)
    names = sgm.unet_names(config)
    parts = [
        UNetPart(source=str(path), network=VideoUNet, config=config, tensors=tensors, key_map=key_map)
        for key_map in (diffusers.unet(config), sgm.unet(config), KeyMap(under("", UNET, names)))
    ]
    best = max(parts, key=lambda part: sum(bool(part.key_map.native_keys(key)) for key in tensors))
    best.check()
    return best
