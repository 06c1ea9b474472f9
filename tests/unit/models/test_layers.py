import pytest
import torch
from tiny_networks import numbers, randomise, relative_error
from torch import nn
from torch.nn import functional as F

from videoldm.models import layers
from videoldm.models.layers import Downsample, Merge, ResBlock, TemporalConv, Upsample, clips_to_frames, frames_to_clips


def test_clips_and_frames_are_two_views_of_a_video():
    video = numbers(2, 3, 4, 5, 6)
    clips = frames_to_clips(video.flatten(0, 1), 3)
    assert torch.equal(clips, video.transpose(1, 2).flatten(3))
    assert torch.equal(clips_to_frames(clips, 5), video.flatten(0, 1))


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_temporal_conv_is_a_3d_convolution(kernel):
    conv = randomise(TemporalConv(4, 6, kernel=kernel))
    video = numbers(2, 4, 7, 3, 5)
    expected = F.conv3d(video, conv.weight, conv.bias, padding=(kernel // 2, 0, 0))
    assert relative_error(conv(video.flatten(3)), expected.flatten(3)) < 1e-5


def test_temporal_conv_can_start_as_the_identity():
    conv = TemporalConv(4, 4, kernel=3)
    conv.reset_to_identity()
    clips = numbers(2, 4, 5, 6)
    assert torch.equal(conv(clips), clips)


@pytest.mark.parametrize(("padding", "size"), [((1, 1), (4, 3)), ((0, 1), (3, 3))])
def test_downsample_pads_as_told(padding, size):
    layer = Downsample(2, padding=padding)
    frames = numbers(1, 2, 7, 6)
    before, after = padding
    expected = F.conv2d(F.pad(frames, (before, after) * 2), layer.conv.weight, layer.conv.bias, stride=2)
    assert layer(frames).shape[2:] == size
    assert torch.allclose(layer(frames), expected, atol=1e-6)


def test_upsample_reaches_an_odd_size():
    assert Upsample(2)(numbers(1, 2, 3, 2), (5, 4)).shape == (1, 2, 5, 4)


@pytest.mark.parametrize(("weighted", "spatial_share"), [("spatial", 0.75), ("temporal", 0.25)])
def test_merge_weighs_the_named_branch(weighted, spatial_share):
    merge = Merge(weighted=weighted, init=torch.tensor(0.75).logit().item())
    spatial, temporal = numbers(4, 2, 3, 3), numbers(4, 2, 3, 3, stream="temporal")
    expected = spatial_share * spatial + (1 - spatial_share) * temporal
    assert torch.allclose(merge(spatial, temporal), expected, atol=1e-6)


@pytest.mark.parametrize("weighted", ["spatial", "temporal"])
def test_merge_keeps_images_as_they_are(weighted):
    merge = Merge(weighted=weighted, init=0.3)
    spatial, temporal = numbers(3, 2, 4), numbers(3, 2, 4, stream="temporal")
    merged = merge(spatial, temporal, torch.tensor([True, False, True]))
    assert torch.equal(merged[[0, 2]], spatial[[0, 2]])
    assert torch.equal(merged[1], merge(spatial, temporal)[1])


def test_temporal_res_block_normalises_over_the_whole_clip():
    def conv(in_channels, out_channels):
        return TemporalConv(in_channels, out_channels, kernel=3)

    block = randomise(ResBlock(8, 8, conv=conv, norm_groups=2, norm_eps=1e-5, embedding_dim=5))
    video, embedding = numbers(2, 8, 4, 3, 3), numbers(2, 4, 5, stream="embedding")

    def conv3d(layer, x):
        return F.conv3d(x, layer.weight, layer.bias, padding=(1, 0, 0))

    hidden = conv3d(block.conv1, F.silu(block.norm1(video)))
    assert block.embedding is not None
    hidden = hidden + block.embedding(embedding).transpose(1, 2)[..., None, None]
    expected = video + conv3d(block.conv2, F.silu(block.norm2(hidden)))
    assert relative_error(block(video.flatten(3), embedding), expected.flatten(3)) < 1e-5


def test_a_block_can_start_as_its_skip_connection():
    block = ResBlock(4, 4, conv=lambda i, o: nn.Conv2d(i, o, 1), norm_groups=2, norm_eps=1e-5, zero_output=True)
    x = numbers(1, 4, 3, 3)
    assert torch.equal(block(x), x)


def softmax_attention(query, key, value):
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    return scores.softmax(-1) @ value


def test_attention_is_the_formula(monkeypatch):
    inputs = [numbers(5, 2, n, 8, stream=name) for name, n in (("query", 7), ("key", 4), ("value", 4))]
    expected = softmax_attention(*inputs)
    assert relative_error(layers.attend(*inputs), expected) < 1e-5
    monkeypatch.setattr(layers, "MAX_ROWS", 2)
    assert relative_error(layers.attend(*inputs), expected) < 1e-5


@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("num_keys", [4, 100])
def test_attention_in_16_bit_has_values_and_gradients_of_32_bit(num_keys, autocast):
    sizes = {"query": 7, "key": num_keys, "value": num_keys}
    inputs = [numbers(3, 2, n, 8, stream=name).bfloat16().requires_grad_() for name, n in sizes.items()]
    exact = [x.detach().float().requires_grad_() for x in inputs]
    expected = softmax_attention(*exact)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        actual = layers.attend(*inputs)
    assert actual.dtype is torch.bfloat16
    assert relative_error(actual.float(), expected) < 1e-2
    expected.square().sum().backward()
    actual.float().square().sum().backward()
    for ours, theirs in zip(inputs, exact, strict=True):
        assert relative_error(ours.grad.float(), theirs.grad) < 2e-2
