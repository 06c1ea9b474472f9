from __future__ import annotations

from pathlib import Path

import pydantic
import pytest
import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPVisionModelWithProjection

from videoldm.models.clip.config import (
    MINI_IMAGE_ENCODER,
    MINI_TEXT_ENCODER,
    SD21_TEXT_ENCODER,
    SVD_IMAGE_ENCODER,
    ImageEncoderConfig,
    TextEncoderConfig,
)
from videoldm.models.clip.encoders import build_image_encoder, build_projected_text_encoder, build_text_encoder

TEXT = TextEncoderConfig(vocab_size=50, max_tokens=8, width=12, num_layers=2, num_heads=3, projection_dim=6)
IMAGE = ImageEncoderConfig(image_size=16, patch_size=8, width=12, num_layers=2, num_heads=3, projection_dim=6)


def num_parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_published_sizes_have_the_published_numbers_of_parameters() -> None:
    # ViT-H/14's image tower, and the text encoder that SD 2.1 is distributed with.
    with torch.device("meta"):
        assert num_parameters(build_image_encoder(SVD_IMAGE_ENCODER)) == 632_076_800
        assert num_parameters(build_text_encoder(SD21_TEXT_ENCODER)) == 340_387_840


def test_mini_encoders_are_small_and_give_tokens_of_the_same_width() -> None:
    text, image = build_text_encoder(MINI_TEXT_ENCODER), build_image_encoder(MINI_IMAGE_ENCODER)
    assert num_parameters(text) + num_parameters(image) < 1_000_000
    tokens = text(input_ids=torch.zeros(2, 24, dtype=torch.long)).last_hidden_state
    embeds = image(pixel_values=torch.zeros(2, 3, 64, 64)).image_embeds
    assert tokens.shape == (2, 24, 96)
    assert embeds.shape == (2, 96)


def test_weights_depend_on_the_seed_only_and_leave_the_global_generator_alone() -> None:
    torch.manual_seed(1)
    first, state = build_image_encoder(IMAGE, seed=3).state_dict(), torch.get_rng_state()
    torch.manual_seed(2)
    again = build_image_encoder(IMAGE, seed=3).state_dict()
    other = build_image_encoder(IMAGE, seed=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["visual_projection.weight"], other["visual_projection.weight"])
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def assert_same_weights(a: torch.nn.Module, b: torch.nn.Module) -> None:
    first, second = a.state_dict(), b.state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_encoders_survive_saving_and_loading(tmp_path: Path) -> None:
    text, image = build_projected_text_encoder(TEXT), build_image_encoder(IMAGE)
    text.save_pretrained(tmp_path / "text")
    image.save_pretrained(tmp_path / "image")

    loaded_text = CLIPTextModelWithProjection.from_pretrained(tmp_path / "text")
    loaded_image = CLIPVisionModelWithProjection.from_pretrained(tmp_path / "image")

    assert_same_weights(loaded_text, text)
    assert_same_weights(loaded_image, image)
    # Not to the bit: loaded weights lie at other addresses, where products may be added up in another order.
    tokens = torch.tensor([[48, 3, 4, 49, 49, 49, 49, 49]])
    pixels = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(loaded_text(input_ids=tokens).text_embeds, text(input_ids=tokens).text_embeds)
    torch.testing.assert_close(loaded_image(pixel_values=pixels).image_embeds, image(pixel_values=pixels).image_embeds)


def test_the_contrastively_trained_text_tower_is_what_conditions(tmp_path: Path) -> None:
    trained = build_projected_text_encoder(TEXT)
    trained.text_model.save_pretrained(tmp_path)
    assert_same_weights(CLIPTextModel.from_pretrained(tmp_path), trained.text_model)


def test_the_end_token_is_pooled_and_not_the_highest_number_or_the_padding() -> None:
    text = build_text_encoder(TEXT)
    output = text(input_ids=torch.tensor([[48, 3, 4, 5, 49, 49, 49, 49]]))
    assert torch.equal(output.pooler_output[0], output.last_hidden_state[0, 4])


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(pydantic.ValidationError, match="multiple of num_heads"):
        ImageEncoderConfig(image_size=16, patch_size=8, width=10, num_layers=2, num_heads=3, projection_dim=6)
    with pytest.raises(pydantic.ValidationError, match="multiple of patch_size"):
        ImageEncoderConfig(image_size=20, patch_size=8, width=12, num_layers=2, num_heads=3, projection_dim=6)
