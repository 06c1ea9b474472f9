"""CLIP encoders before they are read, whatever the layout of their tensors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from transformers import CLIPTextModel, CLIPTokenizer, CLIPVisionModelWithProjection, PreTrainedModel

from videoldm.checkpoints import transformers as layout
from videoldm.checkpoints.part import Part
from videoldm.checkpoints.stored import stored_tensors
from videoldm.checkpoints.weights_file import weights_file
from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.core.files import read_mapping
from videoldm.models.clip.build import build_image_encoder, build_text_encoder, number_positions
from videoldm.models.clip.config import MLP_RATIO, ImageEncoderConfig, TextEncoderConfig

M = TypeVar("M", bound=PreTrainedModel)
C = TypeVar("C")

CONFIG_FILE = "config.json"
WEIGHTS = "model"
TOKENIZER_FILES = (("tokenizer.json",), ("vocab.json", "merges.txt"))
"""What a tokenizer's folder holds: either the one file or, as older versions of transformers wrote it, the two."""


@dataclass(frozen=True)
class Encoder(Generic[M, C]):
    """An encoder of transformers."""

    part: Part[M, C]

    def load(self, *, dtype: torch.dtype | None = None, device: torch.device | str = "cpu") -> M:
        """The encoder, frozen; see `Part.load`."""
        model = self.part.load(dtype=dtype or torch.float32, device=device)
        number_positions(model, device=device)
        return model.requires_grad_(False)


ImageEncoder = Encoder[CLIPVisionModelWithProjection, ImageEncoderConfig]
TextEncoder = Encoder[CLIPTextModel, TextEncoderConfig]


def image_encoder(folder: Path, *, variant: str | None = None) -> ImageEncoder:
    """The image encoder in a folder of transformers' layout."""
    values = _read(folder)
    sizes = {"image_size": values.get("image_size"), "patch_size": values.get("patch_size")}
    config = validate(ImageEncoderConfig, _common(values, folder) | sizes, source=str(folder / CONFIG_FILE))
    path = weights_file(folder, WEIGHTS, variant)
    key_map = layout.image_encoder(config)
    return Encoder(
        Part(
            source=str(path), network=build_image_encoder, config=config, tensors=stored_tensors(path), key_map=key_map
        )
    )


def text_encoder(folder: Path, *, variant: str | None = None) -> TextEncoder:
    """The text encoder in a folder of transformers' layout."""
    values = _read(folder)
    sizes = {"vocab_size": values.get("vocab_size"), "max_tokens": values.get("max_position_embeddings")}
    config = validate(TextEncoderConfig, _common(values, folder) | sizes, source=str(folder / CONFIG_FILE))
    path = weights_file(folder, WEIGHTS, variant)
    tensors = stored_tensors(path)
    # Since version 5 transformers writes the names without the module that it wrote before.
    module = "text_model" if any(key.startswith("text_model.") for key in tensors) else ""
    key_map = layout.text_encoder(config, module=module)
    return Encoder(Part(source=str(path), network=build_text_encoder, config=config, tensors=tensors, key_map=key_map))


def check_tokenizer(folder: Path) -> None:
    """Raise InputError if the folder lacks the files of a tokenizer."""
    if not any(all((folder / name).is_file() for name in names) for names in TOKENIZER_FILES):
        wanted = " nor ".join(" and ".join(names) for names in TOKENIZER_FILES)
        raise InputError(f"{folder}: has neither {wanted}, it should be the folder of a tokenizer")


def load_tokenizer(folder: Path) -> CLIPTokenizer:
    """The tokenizer in a folder of transformers' layout; raises InputError if there is none or it is broken."""
    check_tokenizer(folder)
    try:
        return CLIPTokenizer.from_pretrained(folder)
    except Exception as error:  # the library raises nothing more precise
        raise InputError(f"{folder}: cannot be read as a tokenizer: {error}") from error


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
