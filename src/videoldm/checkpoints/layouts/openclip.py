"""OpenCLIP's layout, in which the original checkpoints hold their text and image encoders.

Query, key and value of an attention are the rows of one tensor, and projections are stored transposed.
"""

from videoldm.checkpoints.keymap import KeyMap, Names, Rows, Transposed, under
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig

TRANSFORMER_LAYER: Names = {
    "layer_norm1": "ln_1",
    **{
        f"self_attn.{name}_proj.{parameter}": Rows(f"attn.in_proj_{parameter}", index)
        for index, name in enumerate("qkv")
        for parameter in ("weight", "bias")
    },
    "self_attn.out_proj": "attn.out_proj",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
TEXT_TOWER = ("token_embedding.", "positional_embedding", "ln_final.", "text_projection", "logit_scale")
"""Tensors of the text tower that are published with the image tower, without its transformer."""


def image_encoder(config: ImageEncoderConfig) -> KeyMap:
    """Map an image tower to transformers' `CLIPVisionModelWithProjection`."""
    return KeyMap(image_encoder_names(config), droppable=TEXT_TOWER)


def image_encoder_names(config: ImageEncoderConfig) -> Names:
    """List the modules of an image tower."""
    vision: Names = {
        "embeddings.class_embedding": "class_embedding",
        "embeddings.patch_embedding": "conv1",
        "embeddings.position_embedding.weight": "positional_embedding",
        "pre_layrnorm": "ln_pre",
        **_layers(config.num_layers),
        "post_layernorm": "ln_post",
    }
    return {**under("vision_model", "visual", vision), "visual_projection.weight": Transposed("visual.proj")}


def text_encoder(config: TextEncoderConfig) -> KeyMap:
    """Map a text tower to transformers' `CLIPTextModel`; the tower may have one layer more than the model.

    Stable Diffusion 2.1 reads the penultimate layer, so that the last one and the projection are never used.
    """
    return KeyMap(text_encoder_names(config), droppable=text_encoder_droppable(config))


def text_encoder_names(config: TextEncoderConfig) -> Names:
    """List the modules of a text tower."""
    return {
        "embeddings.token_embedding": "token_embedding",
        "embeddings.position_embedding.weight": "positional_embedding",
        **_layers(config.num_layers),
        "final_layer_norm": "ln_final",
    }


def text_encoder_droppable(config: TextEncoderConfig) -> tuple[str, ...]:
    """Return prefixes of the tensors that do not contribute to the hidden states that condition a UNet."""
    return (f"transformer.resblocks.{config.num_layers}.", "text_projection", "logit_scale")


def _layers(num_layers: int) -> Names:
    return {
        ours: theirs
        for i in range(num_layers)
        for ours, theirs in under(f"encoder.layers.{i}", f"transformer.resblocks.{i}", TRANSFORMER_LAYER).items()
    }
