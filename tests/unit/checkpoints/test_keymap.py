import pytest
import torch
from tiny_networks import AUTOENCODER, IMAGE_UNET, UNET, randomise
from torch import nn

from videoldm.checkpoints import diffusers, sgm
from videoldm.checkpoints.keymap import KeyMap, under
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet

TEMPORAL_AUTOENCODER = AUTOENCODER.model_copy(update={"decoder": TemporalDecoder()})


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.second = nn.ModuleDict({"inner": nn.Conv2d(3, 4, 1)})


KEY_MAP = KeyMap({"first": "in.0", "second.inner": "out"}, pointwise=frozenset({"first"}), droppable=("logvar", "ema."))


@pytest.fixture
def foreign():
    return KEY_MAP.to_foreign(randomise(Small()).state_dict())


def test_names_and_shapes_of_the_foreign_layout(foreign):
    shapes = {key: tuple(value.shape) for key, value in foreign.items()}
    assert shapes == {"in.0.weight": (3, 2, 1, 1), "in.0.bias": (3,), "out.weight": (4, 3, 1, 1), "out.bias": (4,)}


def test_the_foreign_layout_is_known_from_shapes_alone(foreign):
    shapes = {key: tuple(value.shape) for key, value in Small().state_dict().items()}
    assert KEY_MAP.foreign_shapes(shapes) == {key: tuple(value.shape) for key, value in foreign.items()}


def test_two_modules_of_the_same_name_are_a_defect():
    with pytest.raises(AssertionError, match="same foreign name"):
        KeyMap({"first": "a", "second": "a"})


def test_under_joins_paths():
    names = {"x": "y", "": "z"}
    assert under("ours", "theirs", names) == {"ours.x": "theirs.y", "ours": "theirs.z"}
    assert under("", "theirs", names) == {"x": "theirs.y", "": "theirs.z"}
    assert under("ours", "", {"merge": ""}) == {"ours.merge": ""}


@pytest.mark.parametrize(
    ("build", "config", "key_map"),
    [
        (VideoUNet, UNET, sgm.unet),
        (VideoUNet, IMAGE_UNET, sgm.unet),
        (VideoUNet, UNET.model_copy(update={"transformer_depth": 2, "num_res_blocks": 2}), sgm.unet),
        (VideoUNet, UNET, diffusers.unet),
        (Autoencoder, AUTOENCODER, sgm.autoencoder),
        (Autoencoder, TEMPORAL_AUTOENCODER, sgm.autoencoder),
        (Autoencoder, AUTOENCODER, diffusers.autoencoder),
        (Autoencoder, TEMPORAL_AUTOENCODER, diffusers.autoencoder),
    ],
)
def test_round_trip_is_bit_identical(build, config, key_map):
    state = randomise(build(config)).state_dict()
    foreign = key_map(config).to_foreign(state)
    assert len(foreign) == len(state)
    back = key_map(config).to_native(foreign)
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], value) for key, value in state.items())
