"""The networks of one task, not read yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import CLIPTextModel, CLIPVisionModelWithProjection

from videoldm.checkpoints.checkpoint import EncoderPart
from videoldm.checkpoints.encoders import EncoderFolder
from videoldm.checkpoints.part import AutoencoderPart, UNetPart


@dataclass(frozen=True, kw_only=True)
class ModelParts:
    """What `load_model` reads; an encoder that the task does not use is None.

    tokenizer: the folder of the tokenizer that goes with the text encoder.
    """

    unet: UNetPart
    autoencoder: AutoencoderPart
    image_encoder: EncoderPart[CLIPVisionModelWithProjection] | None = None
    text_encoder: EncoderPart[CLIPTextModel] | None = None
    tokenizer: Path | None = None


def image_encoder(folder: Path) -> EncoderFolder[CLIPVisionModelWithProjection]:
    """The image encoder in a folder."""
    return EncoderFolder(folder=folder, network=CLIPVisionModelWithProjection)


def text_encoder(folder: Path) -> EncoderFolder[CLIPTextModel]:
    """The text encoder in a folder."""
    return EncoderFolder(folder=folder, network=CLIPTextModel)
