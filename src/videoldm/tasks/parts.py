"""The networks of one task, not read yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from videoldm.checkpoints.encoders import ImageEncoder, TextEncoder
from videoldm.checkpoints.part import AutoencoderPart, UNetPart
from videoldm.checkpoints.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """What `load_model` reads; an encoder that the task does not use is None.

    temporal_text_encoder: of the temporal layers, with the same tokenizer, where the spatial ones have another.
    dropped: tensors in the files that no network needs.
    """

    unet: UNetPart
    autoencoder: AutoencoderPart
    image_encoder: ImageEncoder | None = None
    text_encoder: TextEncoder | None = None
    temporal_text_encoder: TextEncoder | None = None
    tokenizer: Tokenizer | None = None
    dropped: Sequence[str] = ()

    @property
    def encoder(self) -> ImageEncoder | TextEncoder:
        """The one that the task looks or reads with."""
        encoder = self.image_encoder or self.text_encoder
        assert encoder is not None, "every task has an encoder"
        return encoder
