"""Groups of parameters, what cannot learn from one token, and growth of the vector."""

import pytest
import torch
from tiny_networks import UNET, numbers, randomise, unet_inputs

from videoldm.models.presets import SVD_XT
from videoldm.models.unet.groups import group_of, idle_with_one_token, is_temporal
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.surgery import extend_vector, grow_unet

SMALLEST_GRADIENT = 1e-8


def trained_gradients(num_tokens):
    """Largest gradient of each parameter, all trained."""
    unet = randomise(VideoUNet(UNET)).train()
    inputs = unet_inputs(UNET, num_tokens=num_tokens)
    (unet(*inputs) - numbers(2, 3, 4, 8, 6, stream="target")).square().mean().backward()
    return unet, {name: float(value.grad.abs().max()) for name, value in unet.named_parameters()}


@pytest.mark.parametrize("num_tokens", [1, 2])
def test_with_one_token_exactly_the_idle_ones_cannot_learn(num_tokens):
    unet, sizes = trained_gradients(num_tokens)
    idle = set(map(id, idle_with_one_token(unet)))
    learning = {name for name, value in unet.named_parameters() if id(value) not in idle}
    assert min(sizes[name] for name in learning) > SMALLEST_GRADIENT
    others = [size for name, size in sizes.items() if name not in learning]
    assert len(others) == 8 * 4  # two norms' and two maps' parameters in spatial and temporal layers of 4 transformers
    assert (max(others) < SMALLEST_GRADIENT) if num_tokens == 1 else (min(others) > SMALLEST_GRADIENT)


def test_frozen_idle_parameters_change_no_output_and_no_other_gradient():
    unet, expected = trained_gradients(1)
    for parameter in idle_with_one_token(unet):
        parameter.requires_grad_(False)
    unet.zero_grad()
    (unet(*unet_inputs(UNET, num_tokens=1)) - numbers(2, 3, 4, 8, 6, stream="target")).square().mean().backward()
    for name, parameter in unet.named_parameters():
        if parameter.requires_grad:
            assert float(parameter.grad.abs().max()) == pytest.approx(expected[name], rel=1e-3, abs=1e-7)


def test_groups_of_svd_add_up_to_the_published_numbers():
    """656M temporal parameters and 38 merges, 1521M with the image model's (SVD, App. D)."""
    with torch.device("meta"):
        unet = VideoUNet(SVD_XT.unet)
    sizes = {}
    for name, parameter in unet.named_parameters():
        sizes[group_of(name)] = sizes.get(group_of(name), 0) + parameter.numel()
        assert is_temporal(name) == group_of(name).startswith("temporal")
    assert sizes["temporal convolutions"] + sizes["temporal attention"] == 656_076_800 + 38
    assert sizes["signal embedding"] == 2_624_000
    assert sum(sizes.values()) == 1_524_623_082


@pytest.mark.parametrize("old_dim", [None, 4])
def test_new_signals_are_ignored_at_first_and_then_learnt(old_dim):
    old = randomise(VideoUNet(UNET.model_copy(update={"vector_dim": old_dim})))
    x, c_noise, conditioning = unet_inputs(UNET)
    assert conditioning.vector is not None
    before = old(x, c_noise, conditioning.replace(vector=old_dim and conditioning.vector[..., :old_dim]))
    grown = extend_vector(old, UNET.vector_dim)
    after = grown(x, c_noise, conditioning)
    torch.testing.assert_close(after, before, rtol=1e-5, atol=1e-6)
    after.square().mean().backward()
    assert grown.vector_embedding is not None
    learnt = grown.vector_embedding.linear2.weight if old_dim is None else grown.vector_embedding.linear1.weight
    assert learnt.grad is not None
    assert float(learnt.grad[:, -1].abs().max()) > 0


def test_a_grown_unet_has_what_was_asked_for():
    small = {"vector_dim": 4, "concat_channels": 0}
    assert grow_unet(VideoUNet(UNET.model_copy(update=small)), UNET).config == UNET
