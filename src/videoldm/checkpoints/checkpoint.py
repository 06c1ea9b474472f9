"""A published checkpoint: the parts of one model, whatever the layout of its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import torch
from transformers import CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedModel

from videoldm.checkpoints.diffusers_config import EulerScheduler
from videoldm.checkpoints.part import AutoencoderPart, UNetPart

M_co = TypeVar("M_co", bound=PreTrainedModel, covariant=True)


class EncoderPart(Protocol[M_co]):
    """An encoder of transformers that is not read yet."""

    def check(self) -> None:
        """Raise InputError if it cannot be complete."""
        ...

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> M_co:
        """The encoder, frozen and for evaluation."""
        ...


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """What a checkpoint holds; a part that it lacks is None.

    preset: the name of the published model that it has the sizes of, None for other sizes.
    files: all files that it is read from.
    dropped: keys of tensors that are known and not needed.
    """

    source: Path
    layout: Literal["diffusers", "sgm"]
    preset: str | None
    files: Sequence[Path]
    unet: UNetPart
    autoencoder: AutoencoderPart | None = None
    image_encoder: EncoderPart[CLIPVisionModelWithProjection] | None = None
    text_encoder: EncoderPart[CLIPTextModel] | None = None
    tokenizer: Path | None = None
    num_frames: int | None = None
    embedding_dim: int | None = None
    """Of each signal in the vector condition, where the files tell it."""
    scheduler: EulerScheduler | None = None
    dropped: tuple[str, ...] = ()
