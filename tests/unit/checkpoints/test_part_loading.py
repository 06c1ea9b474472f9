import pytest
import torch
from tiny_networks import randomise
from torch import nn

from videoldm.checkpoints.keymap import KeyMap, pointwise
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.core.errors import InputError


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 3)
        self.second = nn.ModuleDict({"inner": nn.Conv2d(3, 4, 1)})


KEY_MAP = KeyMap({**pointwise("first", "in.0"), "second.inner": "out"}, droppable=("logvar", "ema."))


@pytest.fixture
def foreign():
    return KEY_MAP.to_foreign(randomise(Small()).state_dict())


def test_load_takes_every_value(foreign):
    module = Small()
    assert load_weights(module, loaded_tensors(foreign), KEY_MAP, source="file") == []
    assert torch.equal(module.first.weight, foreign["in.0.weight"][..., 0, 0])
    assert torch.equal(module.second["inner"].weight, foreign["out.weight"])


def test_load_reports_what_it_dropped(foreign):
    extra = {"ema.decay": torch.zeros(1), "logvar": torch.zeros(())}
    assert load_weights(Small(), loaded_tensors(foreign | extra), KEY_MAP, source="file") == ["ema.decay", "logvar"]


def test_load_names_everything_that_does_not_fit(foreign):
    module = Small()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    del foreign["in.0.bias"]
    foreign["out.weight"] = torch.zeros(4, 2, 1, 1)
    foreign["other.weight"] = foreign["out.scale"] = torch.zeros(1)
    with pytest.raises(InputError) as caught:
        load_weights(module, loaded_tensors(foreign), KEY_MAP, source="weights.safetensors")
    assert str(caught.value) == (
        "weights.safetensors: 1 missing (in.0.bias); 2 unexpected (other.weight, out.scale); "
        "1 misshapen (out.weight is (4, 2, 1, 1) instead of (4, 3, 1, 1))"
    )
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())


def test_a_linear_layer_where_a_convolution_should_be_is_misshapen(foreign):
    foreign["in.0.weight"] = foreign["in.0.weight"][..., 0, 0]
    with pytest.raises(InputError, match=r"in.0.weight is \(3, 2\) instead of \(3, 2, 1, 1\)"):
        load_weights(Small(), loaded_tensors(foreign), KEY_MAP, source="file")


def test_long_lists_are_cut():
    with pytest.raises(InputError, match=r"^file: 20 missing \(0.weight, .* and 15 more\)$"):
        names = {str(i): str(i) for i in range(10)}
        load_weights(nn.Sequential(*[nn.Linear(1, 1) for _ in range(10)]), {}, KeyMap(names), source="file")


def test_a_module_without_memory_takes_the_tensors_themselves(foreign):
    with torch.device("meta"):
        module = Small()
    load_weights(
        module, loaded_tensors({key: value.bfloat16() for key, value in foreign.items()}), KEY_MAP, source="file"
    )
    assert module.first.weight.dtype is torch.bfloat16
    assert not module.first.weight.is_meta


def test_weights_that_are_no_numbers(foreign):
    for value in (float("nan"), float("inf"), -float("inf")):
        foreign["out.weight"][1, 2] = value
        with pytest.raises(InputError, match=r"^file: out\.weight holds NaN or infinite values, the file is damaged$"):
            load_weights(Small(), loaded_tensors(foreign), KEY_MAP, source="file")


def test_cast_while_loading(foreign):
    module = Small()
    load_weights(module, loaded_tensors(foreign), KEY_MAP, source="file", dtype=torch.float16)
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float16}
    assert torch.equal(module.second["inner"].bias, foreign["out.bias"].half())
    assert all(parameter.requires_grad for parameter in module.parameters())
