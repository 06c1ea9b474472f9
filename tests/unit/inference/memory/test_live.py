"""Counting on the meta device against counting real tensors."""

import pytest
import torch
from tiny_networks import AUTOENCODER, UNET, conditioning, numbers, randomise

from videoldm.inference.config import ALL_IN_MEMORY
from videoldm.inference.memory.forecast import ClipSize, Forecaster
from videoldm.inference.memory.live import LiveTensors, peak_bytes
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet


def test_it_counts_what_lives_at_a_time_and_not_what_was_given():
    given = torch.zeros(100)
    with LiveTensors() as live:
        first = given + 1
        second = first.view(10, 10) * 2
        del first
        third = second.sum()
    assert live.peak_bytes == 800
    assert live.now_bytes == 400 + 4
    del second, third
    assert live.now_bytes == 0


def test_what_works_in_place_or_views_takes_nothing():
    given = torch.zeros(100)
    with LiveTensors() as live:
        given.add_(1).view(10, 10).t()
    assert live.peak_bytes == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_unet_without_data_takes_what_it_takes_with_data(dtype):
    unet = randomise(VideoUNet(UNET)).to(dtype)
    inputs = (numbers(2, 5, 4, 16, 24).to(dtype), torch.ones(2))
    conditions = conditioning(UNET, batch=2, num_frames=5, height=16, width=24, num_tokens=1).to(dtype=dtype)
    with torch.no_grad(), LiveTensors() as live:
        unet(*inputs, conditions)
    unet.to("meta")
    on_meta = [tensor.to("meta") for tensor in inputs]
    forecast = peak_bytes(lambda: unet(*on_meta, conditions.to("meta")))
    assert forecast == pytest.approx(live.peak_bytes, rel=0.05)


def test_the_hidden_layer_is_counted_in_the_chunks_of_its_device():
    """The feed-forward network of 4,608 tokens has 2.4 million hidden numbers: three chunks of a CPU's."""
    config = UNET.model_copy(update={"channels": (64, 64)})
    unet = randomise(VideoUNet(config))
    inputs = (numbers(1, 12, 4, 16, 24), torch.ones(1))
    conditions = conditioning(config, batch=1, num_frames=12, height=16, width=24, num_tokens=1)
    with torch.no_grad(), LiveTensors() as live:
        unet(*inputs, conditions)
    clip = ClipSize(num_frames=12, height=64, width=96, has_picture=False)
    autoencoder = Autoencoder(AUTOENCODER)
    assert autoencoder.config.factor == 4

    def forecast(device):
        networks = {"unet": unet.to("meta"), "autoencoder": autoencoder}
        weights = sum(p.nbytes for network in networks.values() for p in network.state_dict().values())
        forecaster = Forecaster(**networks, encoders=[torch.nn.Identity()], num_tokens=1, device=device)
        return forecaster(clip, ALL_IN_MEMORY)["denoise"] - weights

    assert forecast("cpu") == pytest.approx(live.peak_bytes, rel=0.05)
    assert forecast("cuda") > 1.1 * live.peak_bytes
