"""Sizes of the CLIP text and image encoders (no torch here)."""

from __future__ import annotations

from typing import Literal, Self

import pydantic
from pydantic import Field

from videoldm.core.config import Config

Activation = Literal["gelu", "quick_gelu"]
MLP_RATIO = 4
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of each colour channel in [0, 1], with which CLIP normalises pictures; its standard deviation is below."""
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class TransformerConfig(Config):
    """Sizes that both encoders have; the MLP is 4 times as wide as the tokens."""

    width: int = Field(ge=1)
    num_layers: int = Field(ge=1)
    num_heads: int = Field(ge=1)
    projection_dim: int = Field(ge=1)
    activation: Activation = "gelu"

    @pydantic.model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.width % self.num_heads:
            raise ValueError(f"width is {self.width}, it should be a multiple of num_heads ({self.num_heads})")
        return self


class TextEncoderConfig(TransformerConfig):
    """A causal text transformer over `max_tokens` tokens, start and end token included.

    As in CLIP, the last two entries of the vocabulary are the start token and the end token, and the end token also
    pads short prompts. `videoldm.models.clip.tokenizer` builds such vocabularies.
    """

    vocab_size: int = Field(ge=3)
    max_tokens: int = Field(ge=3)


class ImageEncoderConfig(TransformerConfig):
    """A vision transformer on square pictures of `image_size` pixels, cut into square patches."""

    image_size: int = Field(ge=1)
    patch_size: int = Field(ge=1)

    @pydantic.model_validator(mode="after")
    def _patches_fill_the_image(self) -> Self:
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size is {self.image_size}, it should be a multiple of patch_size ({self.patch_size})"
            )
        return self


MINI_TEXT_ENCODER = TextEncoderConfig(
    vocab_size=288, max_tokens=40, width=96, num_layers=3, num_heads=3, projection_dim=96
)
MINI_IMAGE_ENCODER = ImageEncoderConfig(
    image_size=64, patch_size=8, width=96, num_layers=3, num_heads=3, projection_dim=96
)

# OpenCLIP ViT-H/14: its image tower conditions SVD, its text tower without the last layer conditions SD 2.1.
SVD_IMAGE_ENCODER = ImageEncoderConfig(
    image_size=224, patch_size=14, width=1280, num_layers=32, num_heads=16, projection_dim=1024
)
SD21_TEXT_ENCODER = TextEncoderConfig(
    vocab_size=49408, max_tokens=77, width=1024, num_layers=23, num_heads=16, projection_dim=1024
)
SD14_TEXT_ENCODER = TextEncoderConfig(
    vocab_size=49408,
    max_tokens=77,
    width=768,
    num_layers=12,
    num_heads=12,
    projection_dim=768,
    activation="quick_gelu",
)
"""Text tower of CLIP ViT-L/14."""
