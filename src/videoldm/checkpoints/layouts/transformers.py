"""CLIP encoders in transformers' layout, as in the folders of diffusers' pipelines and in ours.

Our encoders are transformers' models, so that names agree except for what its versions do differently.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videoldm.checkpoints.keymap import KeyMap, Names, under
from videoldm.checkpoints.part import ClipEncoder, ImageEncoder, Part, TextEncoder
from videoldm.checkpoints.storage.file_names import CONFIG_FILE, ENCODER_WEIGHTS
from videoldm.checkpoints.storage.weights_file import tensors_in, weights_file
from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.core.reading import read_mapping
from videoldm.models.clip.config import MLP_RATIO, ImageEncoderConfig, TextEncoderConfig
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder

LAYER_MODULES = (
    "layer_norm1",
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")),
    "layer_norm2",
    "mlp.fc1",
    "mlp.fc2",
)


def open_image_encoder(folder: Path, *, variant: str | None = None) -> ImageEncoder:
    """Open the image encoder in a folder, without reading its weights; raises InputError if its config is wrong."""
    values = _read(folder)
    sizes = {"image_size": values.get("image_size"), "patch_size": values.get("patch_size")}
    config = validate(ImageEncoderConfig, _common(values, folder) | sizes, source=str(folder / CONFIG_FILE))
    path = weights_file(folder, ENCODER_WEIGHTS, variant)
    tensors, key_map = tensors_in(path), image_encoder(config)
    return ClipEncoder(
        Part(source=str(path), network=build_image_encoder, config=config, tensors=tensors, key_map=key_map)
    )


def open_text_encoder(folder: Path, *, variant: str | None = None) -> TextEncoder:
    """Open the text encoder in a folder, without reading its weights; raises InputError if its config is wrong."""
    values = _read(folder)
    sizes = {"vocab_size": values.get("vocab_size"), "max_tokens": values.get("max_position_embeddings")}
    config = validate(TextEncoderConfig, _common(values, folder) | sizes, source=str(folder / CONFIG_FILE))
    path = weights_file(folder, ENCODER_WEIGHTS, variant)
    tensors = tensors_in(path)
    # Before version 5, transformers wrote names with this module.
    module = "text_model" if any(key.startswith("text_model.") for key in tensors) else ""
    key_map = text_encoder(config, module=module)
    return ClipEncoder(
        Part(source=str(path), network=build_text_encoder, config=config, tensors=tensors, key_map=key_map)
    )


def _read(folder: Path) -> Mapping[str, Any]:
    """Read the config in a folder; raises InputError if there is none."""
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


def image_encoder(config: ImageEncoderConfig) -> KeyMap:
    """Map a `CLIPVisionModelWithProjection`."""
    embeddings = ("embeddings", "embeddings.patch_embedding", "embeddings.position_embedding")
    vision = _same(*embeddings, "pre_layrnorm", *_layers(config.num_layers), "post_layernorm")
    names = {**under("vision_model", "vision_model", vision), "visual_projection": "visual_projection"}
    return KeyMap(names, droppable=("vision_model.embeddings.position_ids",))


def text_encoder(config: TextEncoderConfig, *, module: str = "text_model") -> KeyMap:
    """Map a `CLIPTextModel`, whose keys begin with `module`: with none since transformers 5."""
    embeddings = ("embeddings.token_embedding", "embeddings.position_embedding")
    names = under("", module, _same(*embeddings, *_layers(config.num_layers), "final_layer_norm"))
    return KeyMap(names, droppable=(f"{module}.embeddings.position_ids".removeprefix("."), "text_projection."))


def _same(*paths: str) -> Names:
    return {path: path for path in paths}


def _layers(num_layers: int) -> list[str]:
    return [f"encoder.layers.{i}.{module}" for i in range(num_layers) for module in LAYER_MODULES]
