"""Full-size networks without memory: diffusers and transformers, built from the published configurations, must have the
names and shapes that our presets and key maps expect.

The configurations are those of the `config.json` files of stable-video-diffusion-img2vid, stable-diffusion-2-1 and
stable-diffusion-x4-upscaler, as far as they decide about parameters.
"""

import diffusers
import pytest
import torch
import transformers
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import nn

from videoldm.checkpoints.layouts import diffusers as diffusers_layout
from videoldm.checkpoints.layouts import openclip, single_file
from videoldm.checkpoints.layouts import transformers as transformers_layout
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder
from videoldm.models.presets import PRESETS, SD21, SVD, X4_UPSCALER
from videoldm.models.unet.network import VideoUNet

CROSS_ATTENTION = ("CrossAttnDownBlock2D",) * 3
UNET_2D = {"cross_attention_dim": 1024, "use_linear_projection": True}
UNETS = {
    "svd": (
        diffusers.UNetSpatioTemporalConditionModel,
        {"num_attention_heads": (5, 10, 20, 20), "projection_class_embeddings_input_dim": 768, "in_channels": 8},
    ),
    "sd-2.1": (diffusers.UNet2DConditionModel, UNET_2D | {"attention_head_dim": (5, 10, 20, 20)}),
    "sd-x4-upscaler": (
        diffusers.UNet2DConditionModel,
        UNET_2D
        | {
            "in_channels": 7,
            "block_out_channels": (256, 512, 512, 1024),
            "attention_head_dim": 8,
            "down_block_types": ("DownBlock2D", *CROSS_ATTENTION),
            "up_block_types": ("CrossAttnUpBlock2D",) * 3 + ("UpBlock2D",),
            "only_cross_attention": (True, True, True, False),
            "num_class_embeds": 1000,
        },
    ),
}


def kl_config(channels):
    return {
        "block_out_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * len(channels),
        "up_block_types": ("UpDecoderBlock2D",) * len(channels),
        "layers_per_block": 2,
    }


SVD_VAE = kl_config((128, 256, 512, 512))
del SVD_VAE["up_block_types"]
VAES = {
    "svd": (diffusers.AutoencoderKLTemporalDecoder, SVD_VAE),
    "sd-2.1": (diffusers.AutoencoderKL, kl_config((128, 256, 512, 512))),
    "sd-x4-upscaler": (diffusers.AutoencoderKL, kl_config((128, 256, 512))),
}
NUM_UNET_PARAMETERS = {"svd": 1_524_623_082, "sd-2.1": 865_910_724, "sd-x4-upscaler": 473_398_020}
TEXT_CONFIG = {
    "vocab_size": 49408,
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "projection_dim": 512,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "max_position_embeddings": 77,
    "hidden_act": "gelu",
}
VISION_CONFIG = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "projection_dim": 1024,
    "num_hidden_layers": 32,
    "num_attention_heads": 16,
    "image_size": 224,
    "patch_size": 14,
    "hidden_act": "gelu",
}


def without_memory(build, *arguments, **options):
    with torch.device("meta"):
        return build(*arguments, **options)


def shapes(tensors):
    return {key: tuple(tensor.shape) for key, tensor in tensors.items()}


@pytest.mark.parametrize("name", sorted(UNETS))
def test_unet(name):
    network, published = UNETS[name]
    config = PRESETS[name].unet
    theirs = without_memory(network, **published)
    ours = without_memory(VideoUNet, config)
    assert diffusers_layout.unet(config).foreign_shapes(ours.state_dict()) == shapes(theirs.state_dict())
    assert sum(parameter.numel() for parameter in ours.parameters()) == NUM_UNET_PARAMETERS[name]


@pytest.mark.parametrize("name", sorted(UNETS))
def test_unet_has_as_many_heads_everywhere(name):
    network, published = UNETS[name]
    config = PRESETS[name].unet
    key_map, ours = diffusers_layout.unet(config), without_memory(VideoUNet, config)
    theirs = without_memory(network, **published)
    heads = {path: module.heads for path, module in theirs.named_modules() if hasattr(module, "heads")}
    assert len(heads) == {"svd": 64, "sd-2.1": 32, "sd-x4-upscaler": 32}[name]
    for path, num_heads in heads.items():
        (key,) = key_map.native_keys(f"{path}.to_q.weight")
        attention = ours.get_submodule(key.removesuffix(".to_q.weight"))
        assert attention.to_q.out_features == num_heads * attention.head_channels, path


@pytest.mark.parametrize("name", sorted(VAES))
def test_autoencoder(name):
    network, published = VAES[name]
    config = PRESETS[name].autoencoder
    theirs = without_memory(network, **published)
    ours = without_memory(Autoencoder, config)
    assert diffusers_layout.autoencoder(config).foreign_shapes(ours.state_dict()) == shapes(theirs.state_dict())


def test_image_encoder():
    theirs = without_memory(transformers.CLIPVisionModelWithProjection, transformers.CLIPVisionConfig(**VISION_CONFIG))
    ours = without_memory(build_image_encoder, SVD.image_encoder)
    key_map = transformers_layout.image_encoder(SVD.image_encoder)
    assert key_map.foreign_shapes(ours.state_dict()) == shapes(theirs.state_dict())


def test_text_encoder():
    # The model with a projection still has the names that published files of the one without have.
    theirs = without_memory(transformers.CLIPTextModelWithProjection, transformers.CLIPTextConfig(**TEXT_CONFIG))
    published = shapes(theirs.state_dict())
    del published["text_projection.weight"]
    ours = without_memory(build_text_encoder, SD21.text_encoder)
    assert transformers_layout.text_encoder(SD21.text_encoder).foreign_shapes(ours.state_dict()) == published


@pytest.fixture(scope="module", params=["sd-2.1", "sd-x4-upscaler"])
def single(request):
    preset = PRESETS[request.param]
    networks = nn.ModuleDict(
        {
            "unet": without_memory(VideoUNet, preset.unet),
            "autoencoder": without_memory(Autoencoder, preset.autoencoder),
            "text_encoder": without_memory(build_text_encoder, preset.text_encoder),
        }
    )
    key_map = single_file.stable_diffusion(preset)
    expected = key_map.foreign_shapes(networks.state_dict())
    assert not any(key.startswith(key_map.droppable) for key in expected)
    return request.param, networks, {key: torch.empty(shape, device="meta") for key, shape in expected.items()}


def test_diffusers_finds_its_unet_in_our_single_file(single):
    name, _, tensors = single
    network, published = UNETS[name]
    theirs = without_memory(network, **published)
    assert shapes(convert_ldm_unet_checkpoint(tensors, theirs.config)) == shapes(theirs.state_dict())


def test_diffusers_finds_its_autoencoder_in_our_single_file(single):
    name, _, tensors = single
    network, published = VAES[name]
    theirs = without_memory(network, **published)
    assert shapes(convert_ldm_vae_checkpoint(tensors, theirs.config)) == shapes(theirs.state_dict())


def test_diffusers_finds_its_text_encoder_in_our_single_file(single):
    _, networks, tensors = single
    converted = shapes(convert_open_clip_checkpoint(networks["text_encoder"], tensors))
    ours = {f"text_model.{key}": shape for key, shape in shapes(networks["text_encoder"].state_dict()).items()}
    assert converted == ours


def test_image_tower_and_what_is_dropped_are_the_published_embedder():
    """The official program reports 683,800,065 parameters for it."""
    ours = without_memory(build_image_encoder, SVD.image_encoder)
    tower = openclip.image_encoder(SVD.image_encoder).foreign_shapes(ours.state_dict())
    dropped = {
        "token_embedding.weight": (49408, 1024),
        "positional_embedding": (77, 1024),
        "ln_final.weight": (1024,),
        "ln_final.bias": (1024,),
        "text_projection": (1024, 1024),
        "logit_scale": (),
    }
    assert all(key.startswith(openclip.TEXT_TOWER) for key in dropped)
    assert not any(key.startswith(openclip.TEXT_TOWER) for key in tower)
    assert sum(torch.Size(shape).numel() for shape in (tower | dropped).values()) == 683_800_065
    assert tower["visual.proj"] == (1280, 1024)
    assert tower["visual.positional_embedding"] == (257, 1280)
    assert tower["visual.transformer.resblocks.31.attn.in_proj_weight"] == (3840, 1280)


def test_low_resolution_pictures_are_a_fourth_of_the_upscaled_ones():
    assert X4_UPSCALER.autoencoder.factor == 4
    assert X4_UPSCALER.unet.concat_channels == X4_UPSCALER.autoencoder.pixel_channels
