import pytest
import torch
from tiny_networks import AUTOENCODER, IMAGE_UNET, UNET, UPSCALER_UNET, numbers, randomise
from torch import nn

from videoldm.checkpoints.keymap import KeyMap, Pointwise, Rows, Transposed, pointwise, under
from videoldm.checkpoints.layouts import diffusers, sgm
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet

TEMPORAL_AUTOENCODER = AUTOENCODER.model_copy(update={"decoder": TemporalDecoder()})


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.second = nn.ModuleDict({"inner": nn.Conv2d(3, 4, 1)})


KEY_MAP = KeyMap({**pointwise("first", "in.0"), "second.inner": "out"}, droppable=("logvar", "ema."))


@pytest.fixture
def foreign():
    return KEY_MAP.to_foreign(randomise(Small()).state_dict())


def test_names_and_shapes_of_the_foreign_layout(foreign):
    shapes = {key: tuple(value.shape) for key, value in foreign.items()}
    assert shapes == {"in.0.weight": (3, 2, 1, 1), "in.0.bias": (3,), "out.weight": (4, 3, 1, 1), "out.bias": (4,)}


@pytest.mark.parametrize(
    "names",
    [
        {"first": "a", "second": "a"},
        {"first": Rows("a", 0), "second": Rows("a", 0)},
        {"first": Rows("a", 0), "second": Rows("a", 2)},
        {"first": Rows("a", 1)},
        {"first": Rows("a", 0), "second": "a"},
        {"first": Transposed("a"), "second": Pointwise("a")},
    ],
)
def test_modules_of_the_same_name_and_missing_rows_are_a_defect(names):
    with pytest.raises(AssertionError, match="same foreign name a"):
        KeyMap(names)


FUSED = KeyMap(
    {
        "value.weight": Rows("fused.weights", 2),
        "query.weight": Rows("fused.weights", 0),
        "key.weight": Rows("fused.weights", 1),
        "out.weight": Transposed("matrix"),
        **pointwise("point", "conv"),
        "norm": "ln",
        "scale": "log_scale",
    }
)
NATIVE = {
    "key.weight": numbers(2, 3, stream="key"),
    "norm.bias": numbers(4, stream="norm"),
    "out.weight": numbers(5, 2, stream="out"),
    "query.weight": numbers(2, 3, stream="query"),
    "value.weight": numbers(2, 3, stream="value"),
    "point.weight": numbers(3, 2, stream="point"),
    "point.bias": numbers(3, stream="bias"),
    "scale": numbers(stream="scale"),
}


def test_rows_lie_below_each_other_and_matrices_are_transposed():
    stored = FUSED.to_foreign(NATIVE)
    fused = torch.cat([NATIVE["query.weight"], NATIVE["key.weight"], NATIVE["value.weight"]])
    assert torch.equal(stored["fused.weights"], fused)
    assert torch.equal(stored["matrix"], NATIVE["out.weight"].T)
    assert stored["matrix"].is_contiguous()
    assert stored.keys() == {"fused.weights", "matrix", "conv.weight", "conv.bias", "ln.bias", "log_scale"}


def test_foreign_tensors_are_taken_apart_and_made_one_by_one():
    stored = FUSED.to_foreign(NATIVE)
    together: dict[str, torch.Tensor] = {}
    for key, tensor in stored.items():
        parts = FUSED.native_parts(key, tensor)
        assert tuple(parts) == FUSED.native_keys(key)
        assert {FUSED.foreign_key(part) for part in parts} == {key}
        assert torch.equal(FUSED.foreign_tensor(key, parts), tensor)
        together |= parts
    assert together.keys() == NATIVE.keys()
    assert all(torch.equal(together[key], tensor) for key, tensor in NATIVE.items())


def test_the_order_of_rows_is_that_of_their_indices():
    assert FUSED.native_keys("fused.weights") == ("query.weight", "key.weight", "value.weight")
    assert FUSED.foreign_keys(NATIVE) == ["fused.weights", "ln.bias", "matrix", "conv.weight", "conv.bias", "log_scale"]


def test_shapes_follow_from_shapes():
    on_meta = {key: tensor.to("meta") for key, tensor in NATIVE.items()}
    assert FUSED.foreign_shapes(on_meta) == {
        "fused.weights": (6, 3),
        "matrix": (2, 5),
        "conv.weight": (3, 2, 1, 1),
        "conv.bias": (3,),
        "ln.bias": (4,),
        "log_scale": (),
    }


def test_what_the_map_does_not_know_has_no_parts():
    assert FUSED.native_keys("other.weight") == ()
    assert FUSED.native_parts("other.weight", torch.zeros(())) == {}
    assert FUSED.to_native({"other.weight": torch.zeros(2), "ln.weight": torch.ones(4)}).keys() == {"norm.weight"}


def test_under_joins_paths():
    names = {"x": "y", "": "z"}
    assert under("ours", "theirs", names) == {"ours.x": "theirs.y", "ours": "theirs.z"}
    assert under("a", "b", {"x": Rows("y", 1), "z": Transposed("w")}) == {
        "a.x": Rows("b.y", 1),
        "a.z": Transposed("b.w"),
    }
    assert under("", "theirs", names) == {"x": "theirs.y", "": "theirs.z"}
    assert under("ours", "", {"merge": ""}) == {"ours.merge": ""}


@pytest.mark.parametrize(
    ("build", "config", "key_map"),
    [
        (VideoUNet, UNET, sgm.unet),
        (VideoUNet, IMAGE_UNET, sgm.unet),
        (VideoUNet, UNET.model_copy(update={"transformer_depth": 2, "num_res_blocks": 2}), sgm.unet),
        (VideoUNet, UPSCALER_UNET, sgm.unet),
        (VideoUNet, UNET, diffusers.unet),
        (VideoUNet, IMAGE_UNET, diffusers.unet),
        (VideoUNet, UPSCALER_UNET, diffusers.unet),
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
