from __future__ import annotations

import math

import pytest
import torch
from transformers import CLIPVisionModelWithProjection

from videoldm.conditioners.image import CLIP_MEAN, CLIP_STD, ImageConditioner, clip_pixels, resize_antialiased
from videoldm.models.clip.config import ImageEncoderConfig
from videoldm.models.clip.encoders import build_image_encoder

CONFIG = ImageEncoderConfig(image_size=16, patch_size=8, width=12, num_layers=2, num_heads=3, projection_dim=6)


@pytest.fixture(scope="module")
def model() -> CLIPVisionModelWithProjection:
    return build_image_encoder(CONFIG).eval()


def pixels(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_context_is_one_projected_token_of_its_own_length(model: CLIPVisionModelWithProjection) -> None:
    picture = pixels(2, 3, 40, 24)
    context = ImageConditioner(model)(picture)
    expected = model(pixel_values=clip_pixels(picture, 16, 16)).image_embeds
    assert context.shape == (2, 1, 6)
    assert torch.equal(context[:, 0], expected)
    assert (context.norm(dim=-1) - 1).abs().min() > 0.01


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (16, 16), (17, 2000), (2000, 2)])
def test_pictures_of_any_size_enter(model: CLIPVisionModelWithProjection, height: int, width: int) -> None:
    assert ImageConditioner(model)(pixels(1, 3, height, width)).isfinite().all()


def test_a_batch_equals_single_runs(model: CLIPVisionModelWithProjection) -> None:
    picture = pixels(3, 3, 40, 24)
    conditioner = ImageConditioner(model)
    single = torch.cat([conditioner(row[None]) for row in picture])
    torch.testing.assert_close(conditioner(picture), single, rtol=0, atol=1e-5)


def test_pixels_are_normalised_after_the_resize_and_not_clamped() -> None:
    grey = clip_pixels(torch.zeros(1, 3, 30, 50), 16, 16)
    for channel in range(3):
        expected = torch.full((16, 16), (0.5 - CLIP_MEAN[channel]) / CLIP_STD[channel])
        torch.testing.assert_close(grey[0, channel], expected, rtol=0, atol=1e-6)
    edge = torch.cat([-torch.ones(1, 3, 8, 4), torch.ones(1, 3, 8, 4)], dim=-1)
    assert resize_antialiased(edge, 16, 16).max() > 1.01


def test_growing_does_not_blur_and_the_own_size_changes_nothing() -> None:
    picture = pixels(1, 3, 16, 12)
    assert torch.equal(resize_antialiased(picture, 16, 12), picture)
    # Aligned corners: the corner pixels stay what they were.
    grown = resize_antialiased(picture, 31, 23)
    torch.testing.assert_close(grown[..., ::2, ::2], picture, rtol=0, atol=1e-5)


def test_shrinking_blurs_by_half_the_factor_minus_one() -> None:
    # An impulse at a place that is sampled shows the middle weight of the kernel: 5 taps of deviation 1 at factor 3.
    line = torch.zeros(1, 1, 30, 1)
    line[..., 0, 0] = 1
    kernel = [math.exp(-(x**2) / 2) for x in range(-2, 3)]
    shrunk = resize_antialiased(line, 10, 1)
    assert shrunk[0, 0, 0, 0].item() == pytest.approx(kernel[2] / sum(kernel), abs=1e-6)


def test_the_encoder_runs_in_its_own_precision(model: CLIPVisionModelWithProjection) -> None:
    half = build_image_encoder(CONFIG).to(torch.bfloat16)
    assert ImageConditioner(half)(pixels(1, 3, 20, 20)).dtype == torch.bfloat16
