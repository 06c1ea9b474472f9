"""A checkpoint: the parts of one model, in whichever layout its files are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from videoldm.checkpoints.layouts.diffusers_config import EulerScheduler
from videoldm.checkpoints.layouts.diffusers_image_config import ImageScheduler, LatentSize
from videoldm.checkpoints.part import AutoencoderPart, ImageEncoder, Part, TextEncoder, UNetPart
from videoldm.checkpoints.tokenizer import Tokenizer


@dataclass(frozen=True, kw_only=True)
class Assumption:
    """Why an image model is taken to predict what its scheduler says, where no file says so."""

    reason: str
    is_sure: bool


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The parts of a model and where they are stored; a part that is missing is None.

    preset: name of the published model of the same sizes, None for other sizes.
    files: all files that are read, except those of the tokenizer.
    tokenizer: tokenizer of the text encoder.
    dropped: keys of tensors that are known and not needed.
    """

    source: Path
    layout: Literal["diffusers", "sgm", "native"]
    preset: str | None
    files: Sequence[Path]
    unet: UNetPart
    autoencoder: AutoencoderPart | None = None
    image_encoder: ImageEncoder | None = None
    text_encoder: TextEncoder | None = None
    tokenizer: Tokenizer | None = None
    num_frames: int | None = None
    latent_size: LatentSize | None = None
    """Size of the latents that an image model was trained on, if the files state it."""
    scheduler: EulerScheduler | ImageScheduler | None = None
    assumption: Assumption | None = None
    """None if the files state the prediction type, or there is none."""
    dropped: tuple[str, ...] = ()

    def parts(self) -> dict[str, Part[Any, Any]]:
        """Return all networks by name."""
        encoders = {"image_encoder": self.image_encoder, "text_encoder": self.text_encoder}
        found: dict[str, Part[Any, Any] | None] = {"unet": self.unet, "autoencoder": self.autoencoder}
        found |= {name: None if encoder is None else encoder.part for name, encoder in encoders.items()}
        return {name: part for name, part in found.items() if part is not None}
