"""Adapters that run beside the layers."""

import sys

import pytest
import torch
from tiny_lora import is_same, random_lora
from tiny_networks import UNET, randomise, relative_error, unet_inputs

from videoldm.core.errors import InputError
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter, LowRank, merge
from videoldm.models.unet.network import VideoUNet

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("error")]


@pytest.fixture
def unet():
    return randomise(VideoUNet(UNET))


@pytest.fixture
def adapters(unet):
    everywhere = random_lora(unet, stream="a")
    in_attention = random_lora(unet, stream="b", rank=2, only=lambda path: "attention" in path)
    return [Adapter(everywhere, 0.8), Adapter(in_attention, -0.5)]


def run(unet, *, num_tokens=3):
    with torch.no_grad():
        return unet(*unet_inputs(UNET, num_tokens=num_tokens))


@pytest.mark.parametrize("num_tokens", [1, 3])
def test_running_beside_is_the_same_as_merging(unet, adapters, num_tokens):
    merged = merge(unet, adapters)
    expected = run(unet, num_tokens=num_tokens)
    merged.unmerge()
    plain = run(unet, num_tokens=num_tokens)
    inject(unet, adapters)
    assert relative_error(plain, expected) > 0.1
    assert relative_error(run(unet, num_tokens=num_tokens), expected) < 1e-5


def test_weights_can_be_changed_and_zero_is_the_plain_module_to_the_bit(unet, adapters):
    plain = run(unet)
    injection = inject(unet, adapters)
    both = run(unet)
    injection.set_weights([0.0, 0.0])
    assert torch.equal(run(unet), plain)
    injection.set_weights([0.0, -0.5])
    second = run(unet)
    injection.set_weights([0.8, -0.5])
    assert torch.equal(run(unet), both)
    injection.eject()
    inject(unet, adapters[1:])
    assert torch.equal(run(unet), second)
    assert not torch.equal(second, plain)


def test_weight_zero_does_not_even_compute(unet):
    lora = {
        path: LowRank(down=update.down * 1e30, up=update.up * 1e30, alpha=1.0)
        for path, update in random_lora(unet, stream="a").items()
    }
    plain = run(unet)
    inject(unet, [Adapter(lora, 0.0)])
    assert torch.equal(run(unet), plain)  # zero times infinity would be NaN


def test_ejection_restores_bits_modules_keys_and_gradients(unet, adapters):
    plain = run(unet)
    unet.conv_in.weight.requires_grad_(False)
    modules, keys = dict(unet.named_modules()), list(unet.state_dict())
    attributes = unet.__dict__.keys() | set()
    requires_grad = {name: parameter.requires_grad for name, parameter in unet.named_parameters()}
    assert len(set(requires_grad.values())) == 2
    injection = inject(unet, adapters)
    injection.train(0)
    assert {name for name, parameter in unet.named_parameters() if parameter.requires_grad} == {
        f"{path}.lora_{side}.adapter_0.weight" for path in adapters[0].lora for side in "AB"
    }
    injection.eject()
    assert dict(unet.named_modules()) == modules
    assert list(unet.state_dict()) == keys
    assert unet.__dict__.keys() == attributes
    assert {name: parameter.requires_grad for name, parameter in unet.named_parameters()} == requires_grad
    assert torch.equal(run(unet), plain)


def test_state_has_the_modules_own_names_and_values(unet, adapters):
    before = unet.state_dict()
    injection = inject(unet, adapters)
    assert unet.state_dict().keys() != before.keys()
    state = injection.state_dict()
    assert list(state) == list(before)
    assert all(state[key].equal(value) for key, value in before.items())


def test_updates_come_back_as_they_were_given(unet, adapters):
    injection = inject(unet, adapters)
    for index, adapter in enumerate(adapters):
        assert is_same(injection.lora(index), adapter.lora)


def test_global_generator_is_left_alone(unet, adapters):
    state = torch.get_rng_state()
    inject(unet, adapters)
    assert torch.equal(torch.get_rng_state(), state)


def test_training_moves_one_adapter_only_and_not_the_given_one(unet, adapters):
    given = {path: (update.down.clone(), update.up.clone()) for path, update in adapters[1].lora.items()}
    before, plain = {key: value.clone() for key, value in unet.state_dict().items()}, run(unet)
    injection = inject(unet, adapters)
    optimizer = torch.optim.SGD(injection.train(1), lr=0.1)
    unet(*unet_inputs(UNET)).square().mean().backward()
    optimizer.step()
    injection.set_weights([0.8, 1.0])
    assert all(update.down.requires_grad for update in injection.lora(1).values())
    assert is_same(injection.lora(0), adapters[0].lora)
    moved = injection.lora(1)
    for path, (down, up) in given.items():
        assert not moved[path].up.equal(up), path
        assert not moved[path].down.equal(down), path
        assert adapters[1].lora[path].up.equal(up)
    injection.eject()
    assert all(value.equal(before[key]) for key, value in unet.state_dict().items())
    assert torch.equal(run(unet), plain)


@pytest.mark.parametrize("kind", ["attention.to_v", "temporal.conv1", "spatial.conv2", "downsample.conv"])
def test_gradients_are_those_of_the_merged_weight(unet, kind):
    lora = random_lora(unet, stream="a", only=lambda path: kind in path)
    injection = inject(unet, [Adapter(lora, 0.5)])
    injection.train(0)
    unet(*unet_inputs(UNET)).square().mean().backward()
    gradients = {path: (update.down.grad, update.up.grad) for path, update in injection.lora(0).items()}
    injection.eject()
    merge(unet, [Adapter(lora, 0.5)])
    unet(*unet_inputs(UNET)).square().mean().backward()
    assert lora
    for path, update in lora.items():
        # The chain rule: d loss / d up = scale * d loss / d weight @ down^T, and likewise for down.
        by_weight = 0.5 * update.alpha / update.rank * unet.get_submodule(path).weight.grad.flatten(1)
        down, up = gradients[path]
        assert relative_error(up.flatten(1), by_weight @ update.down.flatten(1).T) < 1e-4
        assert relative_error(down.flatten(1), update.up.flatten(1).T @ by_weight) < 1e-4


def test_sixteen_bits_run_in_sixteen_bits_and_train_in_float32(unet, adapters):
    unet.bfloat16()
    injection = inject(unet, adapters)
    assert {value.dtype for value in unet.state_dict().values()} == {torch.bfloat16}
    assert {parameter.dtype for parameter in injection.train(0)} == {torch.float32}
    x, c_noise, conditions = unet_inputs(UNET)
    narrow = {name: value.bfloat16() for name, value in vars(conditions).items() if isinstance(value, torch.Tensor)}
    result = unet(x.bfloat16(), c_noise, type(conditions)(**narrow))
    assert result.dtype is torch.bfloat16
    injection.eject()
    merge(unet.float(), adapters)
    assert relative_error(result.float(), run(unet)) < 0.1


def test_adapters_that_do_not_fit_leave_the_module_as_it_was(unet, adapters):
    other = random_lora(VideoUNet(UNET.model_copy(update={"context_dim": 20})), stream="a")
    keys = list(unet.state_dict())
    with pytest.raises(InputError, match="made for another model"):
        inject(unet, [*adapters, Adapter(other)])
    assert list(unet.state_dict()) == keys
    assert all(parameter.requires_grad for parameter in unet.parameters())


def test_injecting_twice_is_a_defect(unet, adapters):
    inject(unet, adapters)
    with pytest.raises(AssertionError, match="eject first"):
        inject(unet, adapters)


def test_missing_peft_is_told_with_its_extra(unet, adapters, monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"needs peft: pip install 'videoldm\[train\]'$"):
        inject(unet, adapters)
