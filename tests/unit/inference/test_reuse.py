"""Reuse of deep features: what runs, what is kept, and for whom."""

from itertools import pairwise

import pytest
import torch
from tiny_networks import UNET, numbers, randomise, relative_error, unet_inputs

from videoldm.core.errors import InputError
from videoldm.diffusion.config import Constant, Euler, Guidance, Interval, VPrediction
from videoldm.diffusion.denoiser import Preconditioned
from videoldm.diffusion.guidance import Guided, drop_image
from videoldm.diffusion.noise import SeededNoise
from videoldm.diffusion.samplers.sample import sample
from videoldm.inference.config import Reuse
from videoldm.inference.reuse import ReusingUNet
from videoldm.models.unet.blocks import UNetBlock
from videoldm.models.unet.network import VideoUNet

SIGMAS = torch.tensor([20.0, 10.0, 5.0, 2.0, 1.0, 0.5, 0.2, 0.0])
MAX_DEPTH = 4


@pytest.fixture(scope="module", autouse=True)
def _no_grad():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def unet():
    return randomise(VideoUNet(UNET))


def steps(count, batch=1):
    """Inputs of several calls of one run: other latents at other levels under the same conditions."""
    x, c_noise, conditions = unet_inputs(UNET, batch=batch)
    return [(x + numbers(*x.shape, stream=f"step {i}"), c_noise - i, conditions) for i in range(count)]


def blocks_run(unet, call):
    """Names of the blocks that a call runs, in their order."""
    names = []
    blocks = {name: module for name, module in unet.named_modules() if isinstance(module, UNetBlock)}
    hooks = [block.register_forward_hook(lambda *_, name=name: names.append(name)) for name, block in blocks.items()]
    call()
    for hook in hooks:
        hook.remove()
    return names


def features_before_last_block(unet, *step):
    """What the plain network joins with conv_in's output."""
    kept = []
    hook = unet.up[1].blocks[1].register_forward_pre_hook(lambda _, inputs: kept.append(inputs[0]))
    unet(*step)
    hook.remove()
    return kept[0][:, : -UNET.channels[0]]


def with_features_before_last_block(unet, features, *step):
    """The plain network's output when these are joined instead."""

    def put(_, inputs):
        return (torch.cat([features, inputs[0][:, -UNET.channels[0] :]], dim=1), inputs[1])

    hook = unet.up[1].blocks[1].register_forward_pre_hook(put)
    output = unet(*step)
    hook.remove()
    return output


def sampled(unet, *, reuse, x, conditions, interval=None):
    """A batch of clips from noise under guidance, as the tasks sample them."""
    network = ReusingUNet(unet, reuse)
    guidance = Guidance(scale=Constant(scale=3.0), interval=interval)
    denoise = Guided(Preconditioned(network, VPrediction()), guidance, drop=drop_image)
    noise = SeededNoise([(i,) for i in range(len(x))])
    return sample(Euler(), denoise, x, SIGMAS, conditions, noise=noise)


@pytest.mark.parametrize("depth", range(1, MAX_DEPTH + 1))
def test_an_interval_of_one_call_is_the_plain_network(unet, depth):
    reusing = ReusingUNet(unet, Reuse(interval=1, depth=depth))
    for step in steps(3):
        assert torch.equal(reusing(*step), unet(*step))


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (1, ["up.1.blocks.1"]),
        (2, ["down.0.blocks.0", "up.1.blocks.0", "up.1.blocks.1"]),
        (3, ["down.0.blocks.0", "up.0.blocks.1", "up.1.blocks.0", "up.1.blocks.1"]),
        (4, ["down.0.blocks.0", "down.1.blocks.0", *(f"up.{i}.blocks.{j}" for i in (0, 1) for j in (0, 1))]),
    ],
)
def test_only_the_outermost_blocks_run_between_full_calls(unet, depth, expected):
    reusing = ReusingUNet(unet, Reuse(interval=3, depth=depth))
    run = [blocks_run(unet, lambda step=step: reusing(*step)) for step in steps(5)]
    everything = blocks_run(unet, lambda: unet(*steps(1)[0]))
    assert len(everything) == 8
    assert run == [everything, expected, expected, everything, expected]


def test_features_lie_on_the_line_through_the_last_two_full_calls(unet):
    """The twin is the plain network, into whose last block other features are put from outside."""
    inputs = steps(8, batch=2)
    deep = [features_before_last_block(unet, *step) for step in inputs]
    reused = {
        1: deep[0],
        2: deep[0],
        4: deep[3] + (deep[3] - deep[0]) / 3,
        5: deep[3] + (deep[3] - deep[0]) * 2 / 3,
        7: deep[6] + (deep[6] - deep[3]) / 3,
    }
    reusing = ReusingUNet(unet, Reuse(interval=3))
    for index, step in enumerate(inputs):
        output = reusing(*step)
        if index in reused:
            assert relative_error(output, with_features_before_last_block(unet, reused[index], *step)) < 1e-5
            assert relative_error(output, unet(*step)) > 1e-2
        else:
            assert torch.equal(output, unet(*step))


def test_each_branch_keeps_features_of_its_own(unet):
    together = ReusingUNet(unet, Reuse(interval=3))
    alone = [ReusingUNet(unet, Reuse(interval=3)) for _ in range(2)]
    for x, c_noise, given in steps(5):
        branches = [drop_image(given), given]
        joined = [together(x, c_noise, branch) for branch in branches]
        expected = [one(x, c_noise, branch) for one, branch in zip(alone, branches, strict=True)]
        assert all(torch.equal(*pair) for pair in zip(joined, expected, strict=True))
        assert relative_error(*expected) > 1e-2


def test_a_new_run_sees_nothing_of_the_last_one(unet):
    conditions = unet_inputs(UNET)[2]
    inputs = [20 * numbers(2, 3, 4, 8, 6, stream=f"run {i}") for i in (0, 1, 0)]
    runs = [sampled(unet, reuse=Reuse(interval=3), x=x, conditions=conditions) for x in inputs]
    assert torch.equal(runs[0], runs[2])
    assert not torch.equal(runs[0], runs[1])


def test_clips_do_not_depend_on_their_batch_mates(unet):
    x, _, conditions = unet_inputs(UNET, batch=3)
    conditions = conditions[[0, 0, 1]]
    setting = {"reuse": Reuse(interval=3), "interval": Interval(lo=1.0, hi=1000.0)}
    together = sampled(unet, x=20 * x, conditions=conditions, **setting)
    alone = [sampled(unet, x=20 * x[i : i + 1], conditions=conditions[i : i + 1], **setting) for i in range(3)]
    assert relative_error(together, torch.cat(alone)) < 1e-5
    assert all(relative_error(a, b) > 1e-2 for a, b in pairwise(alone))


def test_a_depth_that_the_network_does_not_have_is_refused(unet):
    assert unet.max_depth == MAX_DEPTH
    with pytest.raises(InputError, match="depth is 5, this UNet has 4 layers"):
        ReusingUNet(unet, Reuse(interval=2, depth=5))
