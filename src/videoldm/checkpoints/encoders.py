"""CLIP encoders before they are read, whatever the layout of their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from transformers import CLIPTextModel, CLIPVisionModelWithProjection, PreTrainedModel

from videoldm.checkpoints import transformers as layout
from videoldm.checkpoints.part import Part
from videoldm.checkpoints.weights_file import tensors_in, weights_file
from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.core.reading import read_mapping
from videoldm.models.clip.build import build_image_encoder, build_text_encoder, number_positions
from videoldm.models.clip.config import MLP_RATIO, ImageEncoderConfig, TextEncoderConfig

M = TypeVar("M", bound=PreTrainedModel)
C = TypeVar("C")

CONFIG_FILE = "config.json"
WEIGHTS = "model"


@dataclass(frozen=True)
class Encoder(Generic[M, C]):
    """An encoder of transformers."""

    part: Part[M, C]

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> M:
        """The encoder, frozen; see `Part.load`."""
        model = self.empty()
        self.fill(model, dtype=dtype, device=device)
        return model

    def empty(self) -> M:
        """The encoder, frozen, without memory for its weights."""
        return self.part.empty().requires_grad_(False)

    def fill(self, model: M, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> None:
        """Read the weights into an encoder that `empty` made; see `Part.load`."""
        self.part.fill(model, dtype=dtype or torch.float32, device=device)
        number_positions(model, device=device)


ImageEncoder = Encoder[CLIPVisionModelWithProjection, ImageEncoderConfig]
TextEncoder = Encoder[CLIPTextModel, TextEncoderConfig]


def image_encoder(folder: Path, *, variant: str | None = None, allow_pickle: bool = False) -> ImageEncoder:
    """The image encoder in a folder of transformers' layout."""
    values = _read(folder)
    sizes = {"image_size": values.get("image_size"), "patch_size": values.get("patch_size")}
    config = validate(ImageEncoderConfig, _common(values, folder) | sizes, source=str(folder / CONFIG_FILE))
    path = weights_file(folder, WEIGHTS, variant, allow_pickle=allow_pickle)
    key_map = layout.image_encoder(config)
    return Encoder(
        Part(
            source=str(path),
            network=build_image_encoder,
            config=config,
            tensors=tensors_in(path, allow_pickle=allow_pickle),
            key_map=key_map,
        )
    )


def text_encoder(folder: Path, *, variant: str | None = None, allow_pickle: bool = False) -> TextEncoder:
    """The text encoder in a folder of transformers' layout."""
    values = _read(folder)
    sizes = {"vocab_size": values.get("vocab_size"), "max_tokens": values.get("max_position_embeddings")}
    config = validate(TextEncoderConfig, _common(values, folder) | sizes, source=str(folder / CONFIG_FILE))
    path = weights_file(folder, WEIGHTS, variant, allow_pickle=allow_pickle)
    tensors = tensors_in(path, allow_pickle=allow_pickle)
    # Since version 5 transformers writes the names without the module that it wrote before.
    module = "text_model" if any(key.startswith("text_model.") for key in tensors) else ""
    key_map = layout.text_encoder(config, module=module)
    return Encoder(Part(source=str(path), network=build_text_encoder, config=config, tensors=tensors, key_map=key_map))


def _read(folder: Path) -> Mapping[str, Any]:
    """The values in a folder's config; those of one half where it describes a pair of encoders."""
    if not (folder / CONFIG_FILE).is_file():
        raise InputError(f"{folder}: has no {CONFIG_FILE}, it should be the folder of an encoder")
    return read_mapping(folder / CONFIG_FILE)


def _common(values: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    width, inner = values.get("hidden_size"), values.get("intermediate_size")
    if isinstance(width, int) and inner != MLP_RATIO * width:
        raise InputError(f"{folder / CONFIG_FILE}: intermediate_size is {inner}, it should be {MLP_RATIO * width}")
    return {
        "width": width,
        "num_layers": values.get("num_hidden_layers"),
        "num_heads": values.get("num_attention_heads"),
        "projection_dim": values.get("projection_dim"),
        "activation": values.get("hidden_act"),
    }
