"""Keeping a feature network on disk: a folder with `config.json` (its card) and `model.safetensors`."""

from pathlib import Path

import torch
from safetensors.torch import save_file

from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file, write_json
from videoldm.core.tensors import read_tensors
from videoldm.measures.features.config import FeatureNetworkCard
from videoldm.measures.features.network import FeatureNetwork

CARD_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"


def save_feature_network(folder: Path, network: FeatureNetwork, *, weights_dtype: torch.dtype = torch.float32) -> None:
    """Write weights and card; a 16-bit `weights_dtype` halves the file."""
    weights = {
        name: value.detach().to("cpu", weights_dtype).contiguous() for name, value in network.state_dict().items()
    }
    card = FeatureNetworkCard(network=network.config, accuracy=network.accuracy, measured_on=network.measured_on)
    with atomic_file(folder / WEIGHTS_NAME) as partial:
        save_file(weights, partial)
    write_json(folder / CARD_NAME, card.model_dump(mode="json"))


def load_feature_network(folder: Path) -> FeatureNetwork:
    """The network in `folder`, in float32, on the CPU, in evaluation mode and without gradients."""
    card = read_config(folder / CARD_NAME, FeatureNetworkCard)
    network = FeatureNetwork(card.network, accuracy=card.accuracy, measured_on=card.measured_on)
    path = folder / WEIGHTS_NAME
    stored = read_tensors(path)
    expected = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    if {name: tuple(value.shape) for name, value in stored.items()} != expected:
        raise InputError(f"{path}: its tensors do not fit {CARD_NAME} beside it")
    network.load_state_dict(stored)
    return network.eval().requires_grad_(False)
