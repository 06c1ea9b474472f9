"""Our own layout: one folder for each network, with `config.json` and `model.safetensors`."""

from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.part import AutoencoderPart, NetworkBuilder, Part, UNetPart
from videoldm.checkpoints.storage.safetensors import save_tensors, stored_tensors
from videoldm.core.config import Config, read_config
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet

C = TypeVar("C", bound=Config)
M = TypeVar("M", bound=nn.Module)

WEIGHTS_FILE = "model.safetensors"


def save_component(folder: Path, module: nn.Module, config: Config) -> None:
    """Write a module and its configuration; the weights keep their dtype."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    save_tensors(folder / WEIGHTS_FILE, module.state_dict())


def load_config(folder: Path, config_type: type[C]) -> C:
    """Read the configuration of the component in `folder`; raises InputError if there is none."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is not a component folder: it has no {path.name}")
    return read_config(path, config_type)


def unet_part(folder: Path) -> UNetPart:
    """Open the UNet in `folder` without reading its weights."""
    return _part(folder, VideoUNet, load_config(folder, UNetConfig))


def autoencoder_part(folder: Path) -> AutoencoderPart:
    """Open the autoencoder in `folder` without reading its weights."""
    return _part(folder, Autoencoder, load_config(folder, AutoencoderConfig))


def load_autoencoder(folder: Path) -> Autoencoder:
    """Load the autoencoder in `folder`, in float32 and evaluation mode."""
    return autoencoder_part(folder).load(dtype=torch.float32)


def load_unet(folder: Path) -> VideoUNet:
    """Load the UNet in `folder`, in float32 and evaluation mode."""
    return unet_part(folder).load(dtype=torch.float32)


def _part(folder: Path, network: NetworkBuilder[M, C], config: C) -> Part[M, C]:
    path = folder / WEIGHTS_FILE
    tensors = stored_tensors(path)
    with torch.device("meta"):
        names = {key.rpartition(".")[0] for key in network(config).state_dict()}
    key_map = KeyMap({name: name for name in names})
    return Part(source=str(path), network=network, config=config, tensors=tensors, key_map=key_map)
