"""The networks of one task, not read yet."""

from __future__ import annotations

from dataclasses import dataclass

from videoldm.checkpoints.encoders import ImageEncoder, TextEncoder
from videoldm.checkpoints.part import AutoencoderPart, UNetPart
from videoldm.checkpoints.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """What `load_model` reads; an encoder that the task does not use is None."""

    unet: UNetPart
    autoencoder: AutoencoderPart
    image_encoder: ImageEncoder | None = None
    text_encoder: TextEncoder | None = None
    tokenizer: Tokenizer | None = None
