"""The networks of one task, not read yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from videoldm.checkpoints.layouts.transformers import open_image_encoder, open_text_encoder
from videoldm.checkpoints.part import AutoencoderPart, ImageEncoder, TextEncoder, UNetPart
from videoldm.checkpoints.tokenizer import Tokenizer
from videoldm.tasks.config import TaskName
from videoldm.tasks.registry import task_named


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """Networks and tokenizer of one task; an encoder that the task does not use is None.

    lora: folder of an adapter that belongs to the model, as a student's does; None for the UNet as it is.
    temporal_text_encoder: of the temporal layers, with the same tokenizer, where the spatial ones have another.
    dropped: tensors in the files that no network needs.
    """

    unet: UNetPart
    lora: Path | None = None
    autoencoder: AutoencoderPart
    image_encoder: ImageEncoder | None = None
    text_encoder: TextEncoder | None = None
    temporal_text_encoder: TextEncoder | None = None
    tokenizer: Tokenizer | None = None
    dropped: Sequence[str] = ()

    @property
    def encoders(self) -> Sequence[ImageEncoder | TextEncoder]:
        """Encoders of the task, for pictures and for text."""
        all_of_them = (self.image_encoder, self.text_encoder, self.temporal_text_encoder)
        return [encoder for encoder in all_of_them if encoder is not None]


def encoders_in(folder: Path, task: TaskName) -> tuple[TextEncoder | None, ImageEncoder | None, Tokenizer | None]:
    """Open the encoders of a task in a folder of ours, and the text encoder's tokenizer; the others are None."""
    encoders = task_named(task).encoders
    text, image = folder / "text_encoder", folder / "image_encoder"
    return (
        open_text_encoder(text) if text.name in encoders else None,
        open_image_encoder(image) if image.name in encoders else None,
        Tokenizer(text) if text.name in encoders else None,
    )
