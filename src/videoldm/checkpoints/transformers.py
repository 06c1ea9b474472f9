"""The layout of transformers, in which diffusers' folders hold their text and image encoders.

Our encoders are transformers' models, so names agree, but for what its versions do differently.
"""

from videoldm.checkpoints.keymap import KeyMap, Names, under
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig

LAYER_MODULES = (
    "layer_norm1",
    *(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")),
    "layer_norm2",
    "mlp.fc1",
    "mlp.fc2",
)


def image_encoder(config: ImageEncoderConfig) -> KeyMap:
    """Map a `CLIPVisionModelWithProjection`."""
    embeddings = ("embeddings", "embeddings.patch_embedding", "embeddings.position_embedding")
    vision = _same(*embeddings, "pre_layrnorm", *_layers(config.num_layers), "post_layernorm")
    names = {**under("vision_model", "vision_model", vision), "visual_projection": "visual_projection"}
    return KeyMap(names, droppable=("vision_model.embeddings.position_ids",))


def text_encoder(config: TextEncoderConfig, *, module: str = "text_model") -> KeyMap:
    """Map a `CLIPTextModel`, whose keys begin with `module` in published files and, since transformers 5, with none."""
    embeddings = ("embeddings.token_embedding", "embeddings.position_embedding")
    names = under("", module, _same(*embeddings, *_layers(config.num_layers), "final_layer_norm"))
    return KeyMap(names, droppable=(f"{module}.embeddings.position_ids".removeprefix("."), "text_projection."))


def _same(*paths: str) -> Names:
    return {path: path for path in paths}


def _layers(num_layers: int) -> list[str]:
    return [f"encoder.layers.{i}.{module}" for i in range(num_layers) for module in LAYER_MODULES]
