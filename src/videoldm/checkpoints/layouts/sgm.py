"""The original layout of UNet and autoencoder: Stability-AI's `sgm` and the code of latent diffusion before it.

Blocks of the UNet are numbered through all levels; the decoder's levels are numbered from the finest. The other
contents of a published file are in `layouts.single_file`.
"""

from videoldm.checkpoints.keymap import KeyMap, Names, Stored, pointwise, under
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.unet.config import UNetConfig

RES_BLOCK: Names = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "embedding": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
}
VIDEO_RES_BLOCK: Names = {
    **under("spatial", "", RES_BLOCK),
    "spatial.shortcut": "skip_connection",
    **under("temporal", "time_stack", RES_BLOCK),
    "merge": "time_mixer",
}
ATTENTION: Names = {"to_q": "to_q", "to_k": "to_k", "to_v": "to_v", "to_out": "to_out.0"}
FEED_FORWARD: Names = {"project_in": "net.0.proj", "project_out": "net.2"}
TRANSFORMER_LAYER: Names = {
    "norm1": "norm1",
    **under("self_attention", "attn1", ATTENTION),
    "norm2": "norm2",
    **under("cross_attention", "attn2", ATTENTION),
    "norm3": "norm3",
    **under("feed_forward", "ff", FEED_FORWARD),
}
TEMPORAL_TRANSFORMER_LAYER: Names = {
    "norm_in": "norm_in",
    **under("feed_forward_in", "ff_in", FEED_FORWARD),
    **TRANSFORMER_LAYER,
}
AUTOENCODER_RES_BLOCK: Names = {
    "norm1": "norm1",
    "conv1": "conv1",
    "norm2": "norm2",
    "conv2": "conv2",
    "shortcut": "nin_shortcut",
}
AUTOENCODER_VIDEO_RES_BLOCK: Names = {
    **under("spatial", "", AUTOENCODER_RES_BLOCK),
    **under("temporal", "time_stack", RES_BLOCK),
    "merge": "",
}
PIXEL_ATTENTION: Names = {
    "norm": "norm",
    **pointwise("to_q", "q"),
    **pointwise("to_k", "k"),
    **pointwise("to_v", "v"),
    **pointwise("to_out", "proj_out"),
}


def unet(config: UNetConfig) -> KeyMap:
    """Map a UNet, whose keys begin with `model.diffusion_model.` in a whole checkpoint."""
    return KeyMap(unet_names(config))


def unet_names(config: UNetConfig) -> Names:
    """List the modules of a UNet."""
    transformer = _transformer(config.transformer_depth)
    block = {**under("resnet", "0", VIDEO_RES_BLOCK), **under("transformer", "1", transformer)}
    return {
        **under("time_embedding", "time_embed", {"linear1": "0", "linear2": "2"}),
        **under("vector_embedding", "label_emb.0", {"linear1": "0", "linear2": "2"}),
        "noise_embedding": "label_emb",
        "conv_in": "input_blocks.0.0",
        **_down_levels(config, block),
        **under("middle.block1.resnet", "middle_block.0", VIDEO_RES_BLOCK),
        **under("middle.block1.transformer", "middle_block.1", transformer),
        **under("middle.block2.resnet", "middle_block.2", VIDEO_RES_BLOCK),
        **_up_levels(config, block),
        "norm_out": "out.0",
        "conv_out": "out.2",
    }


def _transformer(depth: int) -> Names:
    names = {
        "norm": "norm",
        "project_in": "proj_in",
        **under("frame_embedding", "time_pos_embed", {"linear1": "0", "linear2": "2"}),
        "merge": "time_mixer",
        "project_out": "proj_out",
    }
    for i in range(depth):
        names |= under(f"spatial.{i}", f"transformer_blocks.{i}", TRANSFORMER_LAYER)
        names |= under(f"temporal.{i}", f"time_stack.{i}", TEMPORAL_TRANSFORMER_LAYER)
    return names


def _down_levels(config: UNetConfig, block: Names) -> Names:
    names: dict[str, str | Stored] = {}
    number = 1
    for level in range(len(config.channels)):
        for i in range(config.num_res_blocks):
            names |= under(f"down.{level}.blocks.{i}", f"input_blocks.{number}", block)
            number += 1
        names[f"down.{level}.downsample.conv"] = f"input_blocks.{number}.0.op"
        number += 1
    return names


def _up_levels(config: UNetConfig, block: Names) -> Names:
    names: dict[str, str | Stored] = {}
    number = 0
    for level, has_attention in enumerate(reversed(config.attention_levels)):
        for i in range(config.num_res_blocks + 1):
            names |= under(f"up.{level}.blocks.{i}", f"output_blocks.{number}", block)
            number += 1
        names[f"up.{level}.upsample.conv"] = f"output_blocks.{number - 1}.{2 if has_attention else 1}.conv"
    return names


def autoencoder(config: AutoencoderConfig) -> KeyMap:
    """Map an autoencoder, whose keys begin with `first_stage_model.` in a whole checkpoint."""
    return KeyMap({**under("encoder", "", encoder_names(config)), **under("decoder", "", decoder_names(config))})


def encoder_names(config: AutoencoderConfig) -> Names:
    """List the modules of an encoder and of the convolution that follows it."""
    names = {**under("", "encoder", _ends()), "projection": "quant_conv"}
    for level in range(len(config.channels)):
        ours, theirs = f"down.{level}", f"encoder.down.{level}"
        for i in range(config.num_res_blocks):
            names |= under(f"{ours}.blocks.{i}", f"{theirs}.block.{i}", AUTOENCODER_RES_BLOCK)
        names[f"{ours}.downsample.conv"] = f"{theirs}.downsample.conv"
    return names | under("middle", "encoder.mid", _middle(AUTOENCODER_RES_BLOCK))


def decoder_names(config: AutoencoderConfig) -> Names:
    """List the modules of a plain or temporal decoder and of the convolution that precedes it."""
    names = {
        **under("", "decoder", _ends()),
        "projection": "post_quant_conv",
        "temporal_conv_out": "decoder.conv_out.time_mix_conv",
    }
    last = len(config.channels) - 1
    for level in range(len(config.channels)):
        ours, theirs = f"up.{level}", f"decoder.up.{last - level}"
        for i in range(config.num_res_blocks + 1):
            names |= under(f"{ours}.blocks.{i}", f"{theirs}.block.{i}", AUTOENCODER_VIDEO_RES_BLOCK)
        names[f"{ours}.upsample.conv"] = f"{theirs}.upsample.conv"
    return names | under("middle", "decoder.mid", _middle(AUTOENCODER_VIDEO_RES_BLOCK))


def _ends() -> Names:
    return {"conv_in": "conv_in", "norm_out": "norm_out", "conv_out": "conv_out"}


def _middle(block: Names) -> Names:
    return {
        **under("block1", "block_1", block),
        **under("attention", "attn_1", PIXEL_ATTENTION),
        **under("block2", "block_2", block),
    }
