"""Merging adapters into weights."""

import subprocess
import sys

import pytest
import torch
from tiny_lora import random_lora
from tiny_networks import UNET, numbers, randomise, relative_error, unet_inputs
from torch import nn

from videoldm.core.errors import InputError
from videoldm.models.adapters.low_rank import Adapter, LowRank, merge, merge_for_good, without_effect_on_one_token
from videoldm.models.unet.network import VideoUNet

pytestmark = pytest.mark.slow


@pytest.fixture
def unet():
    return randomise(VideoUNet(UNET))


def copied(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def is_unchanged(module, before):
    after = module.state_dict()
    return after.keys() == before.keys() and all(torch.equal(after[key], before[key]) for key in before)


def test_linear_layer_gets_the_formula_of_the_paper():
    network = nn.Sequential(nn.Linear(5, 4, bias=False))
    x, down, up = numbers(2, 5), numbers(3, 5, stream="down"), numbers(4, 3, stream="up")
    expected = network(x) + 0.7 * (6 / 3) * (x @ down.T @ up.T)
    merge_for_good(network, [Adapter({"0": LowRank(down=down, up=up, alpha=6)}, 0.7)])
    assert relative_error(network(x), expected) < 1e-6


def test_convolution_gets_two_convolutions_in_a_row():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1))
    x, down, up = numbers(2, 3, 6, 8), numbers(2, 3, 3, 3, stream="down"), numbers(4, 2, 1, 1, stream="up")
    narrow = nn.functional.conv2d(x, down, stride=2, padding=1)
    expected = network(x) + 0.5 * nn.functional.conv2d(narrow, up)
    merge_for_good(network, [Adapter({"0": LowRank(down=down, up=up, alpha=1)})])
    assert relative_error(network(x), expected) < 1e-6


def test_every_kind_of_layer_takes_part(unet):
    before = copied(unet)
    lora = random_lora(unet, stream="a")
    merge_for_good(unet, [Adapter(lora)])
    changed = {key.removesuffix(".weight") for key, value in unet.state_dict().items() if not value.equal(before[key])}
    assert changed == lora.keys()
    assert {"conv_in", "down.0.blocks.0.resnet.temporal.conv1", "time_embedding.linear1"} < changed


def test_unmerge_brings_back_every_bit(unet):
    before, inputs = copied(unet), unet_inputs(UNET)
    with torch.no_grad():
        plain = unet(*inputs)
        merged = merge(
            unet, [Adapter(random_lora(unet, stream="a"), 0.8), Adapter(random_lora(unet, stream="b"), -0.3)]
        )
        assert relative_error(unet(*inputs), plain) > 0.01
        merged.unmerge()
        assert is_unchanged(unet, before)
        assert torch.equal(unet(*inputs), plain)


def test_weight_zero_changes_no_bit(unet):
    before = copied(unet)
    merged = merge(unet, [Adapter(random_lora(unet, stream="a"), 0.0)])
    assert is_unchanged(unet, before)
    assert merged.originals == ()


def test_stacked_adapters_add_up_and_are_rounded_once(unet):
    unet.bfloat16()
    first, second = random_lora(unet, stream="a"), random_lora(unet, stream="b", only=lambda path: "attention" in path)
    before = copied(unet)
    merge_for_good(unet, [Adapter(first, 0.5), Adapter(second, -1.5)])
    for path, update in first.items():
        expected = before[f"{path}.weight"].float() + 0.5 * product(update)
        if path in second:
            expected = expected - 1.5 * product(second[path])
        after = unet.get_submodule(path).weight
        assert after.dtype is torch.bfloat16
        # Where the sum lies in the middle of two numbers of 16 bits, the order of additions may decide between them.
        assert (after != expected.bfloat16()).float().mean() < 0.01, path


def product(update):
    """The update as a tensor, from its definition."""
    product = torch.einsum("or,r...->o...", update.up.flatten(1), update.down)
    return update.alpha / update.rank * product


def test_order_of_the_axes_in_memory_does_not_matter(unet):
    lora = random_lora(unet, stream="a")
    merge_for_good(unet, [Adapter(lora)])
    expected = copied(unet)
    other = randomise(VideoUNet(UNET))
    other.conv_in.weight.data = other.conv_in.weight.data.contiguous(memory_format=torch.channels_last)
    merge_for_good(other, [Adapter(lora)])
    assert not other.conv_in.weight.is_contiguous()
    assert is_unchanged(other, expected)


def test_parameters_stay_the_same_objects(unet):
    before = dict(unet.named_parameters())
    merge(unet, [Adapter(random_lora(unet, stream="a"))]).unmerge()
    assert all(parameter is before[name] for name, parameter in unet.named_parameters())
    assert all(parameter.requires_grad and parameter.grad_fn is None for parameter in unet.parameters())


def test_adapter_of_another_model_is_refused_before_anything_changes(unet):
    before = copied(unet)
    wider = random_lora(randomise(VideoUNet(UNET.model_copy(update={"context_dim": 20}))), stream="a")
    with pytest.raises(InputError, match=r"cross_attention.to_k is \(16, 12\) here and would be \(16, 20\)$"):
        merge(unet, [Adapter(random_lora(unet, stream="b")), Adapter(wider)])
    deeper = random_lora(randomise(VideoUNet(UNET.model_copy(update={"num_res_blocks": 2}))), stream="a")
    with pytest.raises(InputError, match=r"^LoRA: down.0.blocks.1.\S+ is not a linear layer or convolution"):
        merge_for_good(unet, [Adapter(deeper)])
    assert is_unchanged(unet, before)


@pytest.mark.parametrize("weight", [float("nan"), float("inf")])
def test_weight_is_a_finite_number(weight):
    with pytest.raises(InputError, match=f"^the weight of a LoRA is {weight}, it should be a finite number$"):
        Adapter({}, weight)


def test_queries_and_keys_of_one_token_have_no_effect_and_no_other_layer_is_said_to_have_none(unet):
    everything = random_lora(unet, stream="a")
    idle = without_effect_on_one_token(everything)
    assert len(idle) == 2 * sum(path.endswith(".cross_attention.to_v") for path in everything) > 0
    for num_tokens in (1, 3):
        inputs = unet_inputs(UNET, num_tokens=num_tokens)
        with torch.no_grad():
            plain = unet(*inputs)
            merged = merge(unet, [Adapter({path: everything[path] for path in idle})])
            assert torch.equal(unet(*inputs), plain) == (num_tokens == 1)
            merged.unmerge()
    inputs = unet_inputs(UNET, num_tokens=1)
    one_of_each_kind = {".".join(path.split(".")[-2:]): path for path in everything.keys() - set(idle)}
    assert {"cross_attention.to_v", "self_attention.to_q", "temporal.conv1"} < one_of_each_kind.keys()
    for path in one_of_each_kind.values():
        with torch.no_grad():
            plain = unet(*inputs)
            merged = merge(unet, [Adapter({path: everything[path]})])
            assert not torch.equal(unet(*inputs), plain), path
            merged.unmerge()


def test_generating_needs_no_peft():
    modules = "videoldm.models.adapters.low_rank, videoldm.models.adapters.injection, videoldm.checkpoints.lora.read"
    code = f"import sys, {modules}; sys.exit('peft' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}, check=False).returncode
        == 0
    )
