from __future__ import annotations

import math

import pytest
import torch
from transformers import CLIPConfig, CLIPModel

from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.models.clip.encoders import INITIAL_LOGIT_SCALE, contrastive_loss, image_config, text_config

TEXT = TextEncoderConfig(vocab_size=50, max_tokens=8, width=12, num_layers=2, num_heads=3, projection_dim=6)
IMAGE = ImageEncoderConfig(image_size=16, patch_size=8, width=12, num_layers=2, num_heads=3, projection_dim=6)


@pytest.fixture(scope="module")
def clip() -> CLIPModel:
    config = CLIPConfig(
        text_config=text_config(TEXT).to_dict(),
        vision_config=image_config(IMAGE).to_dict(),
        projection_dim=6,
        logit_scale_init_value=1.7,
    )
    return CLIPModel(config)


def test_loss_and_gradients_equal_those_of_transformers(clip: CLIPModel) -> None:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randn(5, 3, 16, 16, generator=generator)
    tokens = torch.randint(1, 48, (5, 8), generator=generator)
    tokens[:, 0], tokens[:, -1] = 48, 49
    output = clip(input_ids=tokens, pixel_values=pixels, return_loss=True)

    # What their forward normalises, before it does so.
    image = clip.get_image_features(pixel_values=pixels).pooler_output
    text = clip.get_text_features(input_ids=tokens).pooler_output
    ours = contrastive_loss(image, text, clip.logit_scale)

    torch.testing.assert_close(ours, output.loss, rtol=1e-6, atol=1e-6)
    theirs = torch.autograd.grad(output.loss, list(clip.parameters()), materialize_grads=True)
    own = torch.autograd.grad(ours, list(clip.parameters()), materialize_grads=True)
    for expected, gradient in zip(theirs, own, strict=True):
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)


def test_matching_pairs_cost_less_than_mixed_up_ones_and_chance_costs_log_b() -> None:
    embeds, scale = torch.eye(4), torch.tensor(INITIAL_LOGIT_SCALE)
    assert contrastive_loss(embeds, embeds, scale) < 1e-4
    assert contrastive_loss(embeds, embeds.roll(1, 0), scale) > 10
    # Two samples that read the same: taking one for the other is no mistake.
    twins = torch.eye(3)[[0, 0, 1, 2]]
    ignored = torch.zeros(4, 4, dtype=torch.bool)
    ignored[0, 1] = ignored[1, 0] = True
    assert contrastive_loss(twins, twins, scale) > 0.3
    assert contrastive_loss(twins, twins, scale, ignored=ignored) < 1e-4
    same = torch.ones(4, 4)
    assert contrastive_loss(same, same, scale).item() == pytest.approx(math.log(4), abs=1e-5)
