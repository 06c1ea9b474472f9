"""Native checkpoints: a folder a component, holding `config.json` and `model.safetensors`."""

from pathlib import Path
from typing import TypeVar

from safetensors.torch import save_file
from torch import nn

from videoldm.checkpoints.keymap import KeyMap, load
from videoldm.core.config import Config, read_config
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file, write_json
from videoldm.core.tensors import read_tensors
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.config import UNetConfig
from videoldm.models.unet.network import VideoUNet

C = TypeVar("C", bound=Config)


def save_component(folder: Path, module: nn.Module, config: Config) -> None:
    """Write a module and its configuration; the weights keep their dtype."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config.model_dump(mode="json"))
    weights = {name: tensor.detach().contiguous() for name, tensor in module.state_dict().items()}
    with atomic_file(folder / "model.safetensors") as temporary:
        save_file(weights, temporary)


def load_config(folder: Path, config_type: type[C]) -> C:
    """The configuration of the component in `folder`."""
    path = folder / "config.json"
    if not path.is_file():
        raise InputError(f"{folder} is not a component folder: it has no {path.name}")
    return read_config(path, config_type)


def load_weights(folder: Path, module: nn.Module) -> None:
    """Fill `module` from `folder`, in the module's dtype; every key must fit."""
    path = folder / "model.safetensors"
    paths = {key.rpartition(".")[0] for key in module.state_dict()}
    load(module, read_tensors(path), KeyMap({path: path for path in paths}), source=str(path))


def load_autoencoder(folder: Path) -> tuple[Autoencoder, AutoencoderConfig]:
    """The autoencoder in `folder`, in float32 and evaluation mode."""
    config = load_config(folder, AutoencoderConfig)
    module = Autoencoder(config)
    load_weights(folder, module)
    return module.eval(), config


def load_unet(folder: Path) -> tuple[VideoUNet, UNetConfig]:
    """The UNet in `folder`, in float32 and evaluation mode."""
    config = load_config(folder, UNetConfig)
    module = VideoUNet(config)
    load_weights(folder, module)
    return module.eval(), config
