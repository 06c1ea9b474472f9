"""Native checkpoints: a folder a component, holding `config.json` and `model.safetensors`."""

from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from torch import nn

from videoldm.checkpoints.keymap import KeyMap
from videoldm.checkpoints.part import AutoencoderPart, Network, Part, UNetPart
from videoldm.checkpoints.storage.safetensors import stored_tensors
from videoldm.core.config import Config, read_config
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file, write_json
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
    weights = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_file(folder / WEIGHTS_FILE) as temporary:
        save_file(weights, temporary)


def load_config(folder: Path, config_type: type[C]) -> C:
    """The configuration of the component in `folder`."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is not a component folder: it has no {path.name}")
    return read_config(path, config_type)


def unet_part(folder: Path) -> UNetPart:
    """The UNet in `folder`."""
    config = load_config(folder, UNetConfig)
    return _part(folder, VideoUNet, config)


def autoencoder_part(folder: Path) -> AutoencoderPart:
    """The autoencoder in `folder`."""
    config = load_config(folder, AutoencoderConfig)
    return _part(folder, Autoencoder, config)


def load_autoencoder(folder: Path) -> Autoencoder:
    """The autoencoder in `folder`, in float32 and evaluation mode."""
    return autoencoder_part(folder).load(dtype=torch.float32)


def load_unet(folder: Path) -> VideoUNet:
    """The UNet in `folder`, in float32 and evaluation mode."""
    return unet_part(folder).load(dtype=torch.float32)


def _part(folder: Path, network: Network[M, C], config: C) -> Part[M, C]:
    path = folder / WEIGHTS_FILE
    tensors = stored_tensors(path)
    with torch.device("meta"):
        names = {key.rpartition(".")[0] for key in network(config).state_dict()}
    key_map = KeyMap({name: name for name in names})
    return Part(source=str(path), network=network, config=config, tensors=tensors, key_map=key_map)
