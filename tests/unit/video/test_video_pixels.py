import numpy as np
import pytest
import torch
from PIL import Image

from videoldm.core.errors import InputError
from videoldm.video.pixels import resize


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [(16, 24), (37, 53), (128, 96), (64, 20)])
def test_resize_is_pillows(interpolation, size):
    picture = torch.rand(64, 96, generator=torch.Generator().manual_seed(0))
    method = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[interpolation]
    expected = np.asarray(Image.fromarray(picture.numpy(), mode="F").resize(size[::-1], method))
    found = resize(picture[None, None], *size, interpolation=interpolation)[0, 0]
    assert np.abs(found.numpy() - expected).max() < 1e-5


def test_shrinking_filters_what_cannot_be_shown():
    checkerboard = (torch.arange(64)[:, None] + torch.arange(64)[None]) % 2 * 2.0 - 1.0
    small = resize(checkerboard[None], 8, 8)
    assert small.abs().max() < 0.05


def test_any_leading_axes_and_types():
    clip = torch.rand(2, 5, 3, 16, 16)
    found = resize(clip, 8, 12)
    assert found.shape == (2, 5, 3, 8, 12)
    assert torch.allclose(found[1, 4], resize(clip[1, 4], 8, 12), atol=1e-6)
    half = resize(clip.to(torch.bfloat16), 8, 12)
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), found, atol=1e-2)
    assert resize(clip.double(), 8, 12).dtype == torch.float64


def test_same_size_is_the_same_tensor():
    clip = torch.rand(3, 16, 16)
    assert resize(clip, 16, 16) is clip


def test_impossible_size():
    with pytest.raises(InputError, match="size is 0x8"):
        resize(torch.rand(3, 16, 16), 0, 8)
