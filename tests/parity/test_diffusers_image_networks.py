"""Our image networks against diffusers' with the same random weights, in both layouts of published files."""

import diffusers
import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint
from safetensors.torch import save_file
from tiny_networks import numbers, randomise, relative_error

from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.layouts import sgm
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.config import NoTemporalLayers, PlacedNormEps, UNetConfig
from videoldm.models.unet.network import VideoUNet

TOLERANCE = 1e-4
BATCH, FRAMES, HEIGHT, WIDTH = 2, 3, 8, 12
TEXT_TO_IMAGE = UNetConfig(
    channels=(16, 32, 32),
    num_res_blocks=1,
    attention_levels=(True, True, False),
    head_channels=8,
    context_dim=24,
    norm_groups=8,
    temporal=NoTemporalLayers(),
)
UPSCALER = TEXT_TO_IMAGE.model_copy(
    update={
        "concat_channels": 3,
        "channels": (16, 32, 64),
        "num_res_blocks": 2,
        "attention_levels": (False, True, True),
        "head_channels": (4, 8, 16),
        "self_attention_levels": (False, False, True),
        "num_noise_indices": 10,
    }
)
COMMON = {"layers_per_block": 1, "cross_attention_dim": 24, "norm_num_groups": 8, "use_linear_projection": True}
THEIRS = {
    "text to image": COMMON
    | {
        "block_out_channels": (16, 32, 32),
        "down_block_types": ("CrossAttnDownBlock2D",) * 2 + ("DownBlock2D",),
        "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 2,
        "attention_head_dim": (2, 4, 4),  # it counts heads, in spite of its name
    },
    "upscaler": COMMON
    | {
        "in_channels": 7,
        "block_out_channels": (16, 32, 64),
        "layers_per_block": 2,
        "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
        "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
        "attention_head_dim": 4,
        "only_cross_attention": (True, True, False),
        "num_class_embeds": 10,
    },
}
OURS = {"text to image": TEXT_TO_IMAGE, "upscaler": UPSCALER}


@pytest.fixture(scope="module", params=sorted(OURS))
def unets(request):
    theirs = randomise(diffusers.UNet2DConditionModel(**THEIRS[request.param]))
    ours = VideoUNet(OURS[request.param]).eval()
    assert load_weights(ours, loaded_tensors(theirs.state_dict()), layout.unet(ours.config), source="diffusers") == []
    return ours, theirs


def outputs(ours, theirs, num_tokens):
    """Both networks' outputs for two clips of pictures, each picture being a row of its own for theirs."""
    config = ours.config
    x = numbers(BATCH, FRAMES, config.in_channels, HEIGHT, WIDTH)
    concat = numbers(BATCH, FRAMES, 3, HEIGHT, WIDTH, stream="concat") if config.concat_channels else None
    index = torch.tensor([7, 2]) if config.num_noise_indices else None
    context, timesteps = numbers(BATCH, num_tokens, 24, stream="context"), torch.tensor([3.0, 801.0])
    rows = x if concat is None else torch.cat([x, concat], dim=2)
    with torch.no_grad():
        expected = theirs(
            rows.flatten(0, 1),
            timesteps.repeat_interleave(FRAMES),
            context.repeat_interleave(FRAMES, dim=0),
            class_labels=None if index is None else index.repeat_interleave(FRAMES),
        ).sample
        actual = ours(x, timesteps, Conditioning(context=context, concat=concat, noise_index=index))
    return actual.flatten(0, 1), expected


@pytest.mark.parametrize("num_tokens", [1, 5])
def test_unet_computes_what_diffusers_does(unets, num_tokens):
    ours, theirs = unets
    assert relative_error(*outputs(ours, theirs, num_tokens)) < TOLERANCE


def test_epsilons_of_the_norms_are_where_diffusers_has_them(unets):
    # Weak activations make the epsilon count: with it in the wrong place, outputs differ.
    ours, theirs = unets
    state = theirs.state_dict()
    weak = {k: v * 1e-2 if ".conv1." in k or k.startswith("conv_in") else v for k, v in state.items()}
    weakened = type(theirs).from_config(theirs.config).eval()
    weakened.load_state_dict(weak)
    for norm_eps, fits in ((ours.config.norm_eps, True), (PlacedNormEps(), False)):
        config = ours.config.model_copy(update={"norm_eps": norm_eps})
        network = VideoUNet(config).eval()
        load_weights(network, loaded_tensors(weak), layout.unet(config), source="diffusers")
        assert (relative_error(*outputs(network, weakened, 1)) < TOLERANCE) is fits


def test_unet_keys_come_back_bit_for_bit(unets):
    ours, theirs = unets
    assert_equal(layout.unet(ours.config).to_foreign(ours.state_dict()), theirs.state_dict())


def test_diffusers_reads_the_original_layout_of_our_unet(unets):
    ours, theirs = unets
    original = sgm.unet(ours.config).to_foreign(ours.state_dict())
    whole = {f"model.diffusion_model.{key}": tensor for key, tensor in original.items()}
    assert_equal(convert_ldm_unet_checkpoint(whole, theirs.config), theirs.state_dict())


AUTOENCODER = AutoencoderConfig(channels=(32, 64, 64), num_res_blocks=1)


@pytest.fixture(scope="module")
def autoencoders():
    theirs = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=AUTOENCODER.channels,
        layers_per_block=1,
    )
    ours = Autoencoder(AUTOENCODER).eval()
    load_weights(
        ours, loaded_tensors(randomise(theirs).state_dict()), layout.autoencoder(AUTOENCODER), source="diffusers"
    )
    return ours, theirs


def test_diffusers_reads_the_original_layout_of_our_autoencoder(autoencoders):
    ours, theirs = autoencoders
    original = sgm.autoencoder(AUTOENCODER).to_foreign(ours.state_dict())
    whole = {f"first_stage_model.{key}": tensor for key, tensor in original.items()}
    assert_equal(convert_ldm_vae_checkpoint(whole, theirs.config), theirs.state_dict())


def test_diffusers_reads_the_old_names_of_our_autoencoder(autoencoders, tmp_path):
    ours, theirs = autoencoders
    key_map = layout.autoencoder(AUTOENCODER, attention=layout.OLD_PIXEL_ATTENTION)
    old = key_map.to_foreign(ours.state_dict())
    assert old["decoder.mid_block.attentions.0.proj_attn.weight"].shape == (64, 64)
    theirs.save_config(tmp_path)
    save_file(old, tmp_path / "diffusion_pytorch_model.safetensors")
    assert_equal(type(theirs).from_pretrained(tmp_path).state_dict(), theirs.state_dict())
    again = Autoencoder(AUTOENCODER)
    assert load_weights(again, loaded_tensors(old), key_map, source="old file") == []
    assert_equal(again.state_dict(), ours.state_dict())


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    assert all(torch.equal(actual[key], tensor) for key, tensor in expected.items())
