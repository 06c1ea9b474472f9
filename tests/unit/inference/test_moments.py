import pytest
import torch
from tiny_networks import numbers, relative_error
from torch import nn
from torch.nn import functional as F

from videoldm.inference.moments import fixed_norm, moments_of, normalise_each

NORM = nn.GroupNorm(2, 6, eps=1e-3)
NORM.weight.data = numbers(6, stream="weight")
NORM.bias.data = numbers(6, stream="bias")


def precise(frames):
    with torch.no_grad():
        return F.group_norm(frames.double(), 2, NORM.weight.double(), NORM.bias.double(), NORM.eps).float()


@pytest.mark.parametrize("parts", [[7], [1, 6], [3, 1, 2, 1]])
@pytest.mark.parametrize("mean", [0, 100])
@torch.no_grad()
def test_pieces_give_the_statistics_of_the_whole(parts, mean):
    # One clip whose frames are the pieces; the middle axis of a clip is time, so the statistics are the clip's.
    frames = numbers(7, 6, 5, 4) * torch.arange(1.0, 8.0).view(7, 1, 1, 1) + mean
    clip = frames.transpose(0, 1).flatten(1).unsqueeze(0).unsqueeze(-1)
    norm = fixed_norm(NORM, [moments_of(part) for part in frames.split(parts)])
    assert relative_error(norm(clip), precise(clip)) < 1e-5


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("num_frames", [1, 3])
@torch.no_grad()
def test_each_frame_gets_its_own_statistics(layout, num_frames):
    frames = numbers(num_frames, 6, 5, 4) + torch.arange(num_frames).view(-1, 1, 1, 1)
    normalised = normalise_each(NORM, frames.contiguous(memory_format=layout))
    assert relative_error(normalised, precise(frames)) < 1e-6
    assert normalised.is_contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def test_large_frames_with_a_large_mean_keep_their_digits():
    """PyTorch's own group norm loses four digits here, if the frame lies channels last."""
    frames = (numbers(1, 6, 300, 300) + 50).contiguous(memory_format=torch.channels_last)
    assert relative_error(normalise_each(NORM, frames), precise(frames)) < 1e-5


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_statistics_of_16_bit_frames_are_not_rounded(dtype):
    frames = numbers(1, 6, 30, 30).to(dtype)
    rounded = nn.GroupNorm(2, 6, eps=1e-3).to(dtype)
    rounded.load_state_dict(NORM.state_dict())
    expected = F.group_norm(frames.double(), 2, rounded.weight.double(), rounded.bias.double(), rounded.eps)
    normalised = normalise_each(rounded, frames)
    assert normalised.dtype is dtype
    # One rounding to the nearest, at the end.
    assert ((normalised - expected).abs() <= expected.abs() * torch.finfo(dtype).eps * 0.51 + 1e-6).all()
