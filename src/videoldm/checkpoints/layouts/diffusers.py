"""Names of tensors in diffusers' layout; levels of the way up are numbered from the coarsest, as ours are."""

from videoldm.checkpoints.keymap import KeyMap, Names, Stored, under
from videoldm.checkpoints.layouts.sgm import TEMPORAL_TRANSFORMER_LAYER, TRANSFORMER_LAYER
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.unet.config import UNetConfig

MLP: Names = {"linear1": "linear_1", "linear2": "linear_2"}
RES_BLOCK: Names = {
    "norm1": "norm1",
    "conv1": "conv1",
    "embedding": "time_emb_proj",
    "norm2": "norm2",
    "conv2": "conv2",
    "shortcut": "conv_shortcut",
}
VIDEO_RES_BLOCK: Names = {
    **under("spatial", "spatial_res_block", RES_BLOCK),
    **under("temporal", "temporal_res_block", RES_BLOCK),
    "merge": "time_mixer",
}
PIXEL_ATTENTION: Names = {
    "norm": "group_norm",
    "to_q": "to_q",
    "to_k": "to_k",
    "to_v": "to_v",
    "to_out": "to_out.0",
}
OLD_PIXEL_ATTENTION: Names = {
    "norm": "group_norm",
    "to_q": "query",
    "to_k": "key",
    "to_v": "value",
    "to_out": "proj_attn",
}
"""Names that older versions of diffusers wrote, as in the published Stable Diffusion 2.1 and x4 upscaler."""


def unet(config: UNetConfig) -> KeyMap:
    """Map a `UNetSpatioTemporalConditionModel`, or a `UNet2DConditionModel` if there are no temporal layers."""
    transformer = _transformer(config.transformer_depth)
    res_block = under("spatial", "", RES_BLOCK) if config.temporal_layers is None else VIDEO_RES_BLOCK
    names = {
        **under("time_embedding", "time_embedding", MLP),
        **under("vector_embedding", "add_embedding", MLP),
        "noise_embedding": "class_embedding",
        **_ends(),
        **under("middle.block1.resnet", "mid_block.resnets.0", res_block),
        **under("middle.block1.transformer", "mid_block.attentions.0", transformer),
        **under("middle.block2.resnet", "mid_block.resnets.1", res_block),
    }
    for level in range(len(config.channels)):
        for way, num_blocks in (("down", config.num_res_blocks), ("up", config.num_res_blocks + 1)):
            ours, theirs = f"{way}.{level}", f"{way}_blocks.{level}"
            for i in range(num_blocks):
                names |= under(f"{ours}.blocks.{i}.resnet", f"{theirs}.resnets.{i}", res_block)
                names |= under(f"{ours}.blocks.{i}.transformer", f"{theirs}.attentions.{i}", transformer)
            names[f"{ours}.{way}sample.conv"] = f"{theirs}.{way}samplers.0.conv"
    return KeyMap(names)


def autoencoder(config: AutoencoderConfig, *, attention: Names = PIXEL_ATTENTION) -> KeyMap:
    """Map an `AutoencoderKLTemporalDecoder`, or an `AutoencoderKL` if the decoder is plain.

    `attention` is PIXEL_ATTENTION or OLD_PIXEL_ATTENTION, whichever names the file has.
    """
    is_temporal = isinstance(config.decoder, TemporalDecoder)
    decoder_block = VIDEO_RES_BLOCK if is_temporal else under("spatial", "", RES_BLOCK)
    names = {
        "encoder.projection": "quant_conv",
        "decoder.projection": "post_quant_conv",
        "decoder.temporal_conv_out": "decoder.time_conv_out",
    }
    ways = (
        ("encoder", "down", config.num_res_blocks, RES_BLOCK),
        ("decoder", "up", config.num_res_blocks + 1, decoder_block),
    )
    for part, way, num_blocks, block in ways:
        names |= under(part, part, _ends())
        names |= under(f"{part}.middle", f"{part}.mid_block", _middle(block, attention))
        for level in range(len(config.channels)):
            ours, theirs = f"{part}.{way}.{level}", f"{part}.{way}_blocks.{level}"
            for i in range(num_blocks):
                names |= under(f"{ours}.blocks.{i}", f"{theirs}.resnets.{i}", block)
            names[f"{ours}.{way}sample.conv"] = f"{theirs}.{way}samplers.0.conv"
    return KeyMap(names)


def _ends() -> Names:
    return {"conv_in": "conv_in", "norm_out": "conv_norm_out", "conv_out": "conv_out"}


def _middle(block: Names, attention: Names) -> Names:
    return {
        **under("block1", "resnets.0", block),
        **under("attention", "attentions.0", attention),
        **under("block2", "resnets.1", block),
    }


def _transformer(depth: int) -> Names:
    names: dict[str, str | Stored] = {
        "norm": "norm",
        "project_in": "proj_in",
        **under("frame_embedding", "time_pos_embed", MLP),
        "merge": "time_mixer",
        "project_out": "proj_out",
    }
    for i in range(depth):
        names |= under(f"spatial.{i}", f"transformer_blocks.{i}", TRANSFORMER_LAYER)
        names |= under(f"temporal.{i}", f"temporal_transformer_blocks.{i}", TEMPORAL_TRANSFORMER_LAYER)
    return names
