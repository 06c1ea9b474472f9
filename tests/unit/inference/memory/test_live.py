"""Counting on the meta device against counting real tensors."""

import pytest
import torch
from tiny_networks import UNET, conditioning, numbers, randomise

from videoldm.inference.memory.live import LiveTensors, peak_bytes
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
