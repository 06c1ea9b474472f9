"""CLIP encoders: transformers' models with random weights, built from our sizes, and the loss that trains them."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor
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

INITIAL_LOGIT_SCALE = math.log(1 / 0.07)
MAX_LOGIT_SCALE = math.log(100)


def build_text_encoder(config: TextEncoderConfig, *, seed: int = 0) -> CLIPTextModel:
    """Build the text encoder whose hidden states condition a UNet."""
    with seeded_initialisation(seed, "text encoder"):
        return CLIPTextModel(text_config(config))


def build_projected_text_encoder(config: TextEncoderConfig, *, seed: int = 0) -> CLIPTextModelWithProjection:
    """Build the text encoder with the projection of its end token, for contrastive training."""
    with seeded_initialisation(seed, "text encoder"):
        return CLIPTextModelWithProjection(text_config(config))


def build_image_encoder(config: ImageEncoderConfig, *, seed: int = 0) -> CLIPVisionModelWithProjection:
    """Build the image encoder with the projection of its class token."""
    with seeded_initialisation(seed, "image encoder"):
        return CLIPVisionModelWithProjection(image_config(config))


def number_positions(model: PreTrainedModel, *, device: torch.device | str) -> None:
    """Set the position numbers of an encoder that was built without storage: they are not weights and not stored."""
    for name, buffer in list(model.named_buffers()):
        assert name.endswith("position_ids"), f"unknown buffer {name}, which no file stores"
        numbers = torch.arange(buffer.shape[-1], device=device).expand(buffer.shape)
        model.get_submodule(name.rpartition(".")[0]).register_buffer("position_ids", numbers, persistent=False)


def text_config(config: TextEncoderConfig) -> CLIPTextConfig:
    """Return transformers' configuration of an encoder of these sizes."""
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
    """Return transformers' configuration of an encoder of these sizes."""
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


def contrastive_loss(
    image_embeds: Float[Tensor, "b d"],
    text_embeds: Float[Tensor, "b d"],
    logit_scale: Float[Tensor, ""],
    *,
    ignored: Bool[Tensor, "b b"] | None = None,
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy of finding each picture's text and each text's picture in the batch.

    Row i of one belongs to row i of the other; rows are normalised here. `logit_scale` is the logarithm of the factor
    on the cosines, as CLIP stores it: training starts it at INITIAL_LOGIT_SCALE and clamps it to MAX_LOGIT_SCALE.
    Pairs marked in `ignored`, never a row's own, count as neither right nor wrong.
    (CLIP, arXiv 2103.00020, section 2.3 and fig. 3)
    """
    cosines = F.normalize(image_embeds, dim=-1) @ F.normalize(text_embeds, dim=-1).T
    logits = cosines * logit_scale.exp()
    if ignored is not None:
        logits = logits.masked_fill(ignored, -torch.inf)
    matches = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, matches) + F.cross_entropy(logits.T, matches)) / 2
