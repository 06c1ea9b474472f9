"""From sizes to transformers' CLIP models with random weights."""

from __future__ import annotations

import torch
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    PreTrainedModel,
)

from videoldm.core.random import seeded_initialisation
from videoldm.models.clip.config import MLP_RATIO, ImageEncoderConfig, TextEncoderConfig


def build_text_encoder(config: TextEncoderConfig, *, seed: int = 0) -> CLIPTextModel:
    """The text encoder whose hidden states condition a UNet."""
    with seeded_initialisation(seed, "text encoder"):
        return CLIPTextModel(text_config(config))


def build_projected_text_encoder(config: TextEncoderConfig, *, seed: int = 0) -> CLIPTextModelWithProjection:
    """The text encoder plus the projection of its end token, for contrastive training."""
    with seeded_initialisation(seed, "text encoder"):
        return CLIPTextModelWithProjection(text_config(config))


def build_image_encoder(config: ImageEncoderConfig, *, seed: int = 0) -> CLIPVisionModelWithProjection:
    """The image encoder with the projection of its class token."""
    with seeded_initialisation(seed, "image encoder"):
        return CLIPVisionModelWithProjection(image_config(config))


def number_positions(model: PreTrainedModel, *, device: torch.device | str) -> None:
    """Fill in the position numbers of an encoder that was made without storage: they are no weights and in no file."""
    for name, buffer in list(model.named_buffers()):
        assert name.endswith("position_ids"), f"{name} is in no file and not known"
        numbers = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
        model.get_submodule(name.rpartition(".")[0]).register_buffer("position_ids", numbers, persistent=False)


def text_config(config: TextEncoderConfig) -> CLIPTextConfig:
    """Our few numbers as transformers' configuration."""
    return CLIPTextConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.width,
        intermediate_size=MLP_RATIO * config.width,
        projection_dim=config.projection_dim,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        max_position_embeddings=config.max_tokens,
        hidden_act=config.activation,
        bos_token_id=config.vocab_size - 2,
        eos_token_id=config.vocab_size - 1,
        pad_token_id=config.vocab_size - 1,
    )


def image_config(config: ImageEncoderConfig) -> CLIPVisionConfig:
    """Our few numbers as transformers' configuration."""
    return CLIPVisionConfig(
        hidden_size=config.width,
        intermediate_size=MLP_RATIO * config.width,
        projection_dim=config.projection_dim,
        num_hidden_layers=config.num_layers,
        num_attention_heads=config.num_heads,
        image_size=config.image_size,
        patch_size=config.patch_size,
        hidden_act=config.activation,
    )
