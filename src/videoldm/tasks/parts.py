"""The networks of one task, not read yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoldm.checkpoints.encoders import ImageEncoder, TextEncoder
from videoldm.checkpoints.part import AutoencoderPart, UNetPart


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """What `load_model` reads; an encoder that the task does not use is None.

    tokenizer: the folder of the tokenizer that goes with the text encoder.
    dropped: tensors in the files that no network needs.
    """

    unet: UNetPart
    autoencoder: AutoencoderPart
    image_encoder: ImageEncoder | None = None
    text_encoder: TextEncoder | None = None
    tokenizer: Path | None = None
    dropped: Sequence[str] = ()

    @property
    def encoder(self) -> ImageEncoder | TextEncoder:
        """The one that the task looks or reads with."""
        encoder = self.image_encoder or self.text_encoder
        assert encoder is not None, "every task has an encoder"
        return encoder
