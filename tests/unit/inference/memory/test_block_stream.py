"""A UNet whose weights come block by block gives the same bits, and holds few of them at a time."""

import pytest
import torch
from tiny_networks import UNET, conditioning, numbers, randomise

from videoldm.inference.memory.live import LiveTensors
from videoldm.inference.memory.residence import stream_blocks
from videoldm.models.unet.network import VideoUNet

INPUTS = (numbers(1, 3, 4, 8, 8), torch.ones(1))


def streamed():
    unet = randomise(VideoUNet(UNET)).requires_grad_(False)
    conditions = conditioning(UNET, batch=1, num_frames=3, height=8, width=8)
    with torch.no_grad():
        expected = unet(*INPUTS, conditions)
    stream_blocks(unet, "cpu")
    return unet, conditions, expected


@torch.no_grad()
def test_results_are_equal_bit_for_bit_again_and_again():
    unet, conditions, expected = streamed()
    for _ in range(3):
        assert torch.equal(unet(*INPUTS, conditions), expected)


@torch.no_grad()
def test_shallow_calls_between_full_ones_are_equal_too():
    unet, conditions, expected = streamed()
    output, deep = unet.forward_reusing(*INPUTS, conditions, depth=1)
    again, _ = unet.forward_reusing(*INPUTS, conditions, depth=1, deep=deep)
    assert torch.equal(output, expected)
    assert torch.equal(again, expected)
    assert torch.equal(unet(*INPUTS, conditions), expected)


@torch.no_grad()
def test_weights_at_home_stay_where_they_are():
    unet, conditions, _ = streamed()
    before = {key: tensor.data_ptr() for key, tensor in unet.state_dict().items()}
    unet(*INPUTS, conditions)
    assert {key: tensor.data_ptr() for key, tensor in unet.state_dict().items()} == before


@torch.no_grad()
def test_at_most_two_blocks_are_away_from_home():
    """Also where shallow calls, which need the last block only, follow full ones."""
    unet, conditions, _ = streamed()
    sizes = [sum(parameter.nbytes for parameter in block.parameters()) for block in unet.blocks]
    live, away = LiveTensors(), []
    for block in unet.blocks:
        block.resnet.register_forward_pre_hook(lambda *_: away.append(live.now_bytes))
    _, deep = unet.forward_reusing(*INPUTS, conditions, depth=2)
    away.clear()
    with live:
        unet.forward_reusing(*INPUTS, conditions, depth=2, deep=deep)
        unet.forward_reusing(*INPUTS, conditions, depth=2)
    assert len(away) == len(sizes) + 3
    activations = 40_000
    assert max(sizes) < max(away) < sum(sorted(sizes)[-2:]) + activations < sum(sizes) / 2


@torch.no_grad()
def test_a_call_that_fails_leaves_the_weights_at_home():
    unet, conditions, expected = streamed()
    before = {key: tensor.data_ptr() for key, tensor in unet.state_dict().items()}

    def fail(*_):
        raise RuntimeError("out of memory")

    handle = unet.middle.block1.resnet.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        unet(*INPUTS, conditions)
    handle.remove()
    assert {key: tensor.data_ptr() for key, tensor in unet.state_dict().items()} == before
    assert torch.equal(unet(*INPUTS, conditions), expected)
