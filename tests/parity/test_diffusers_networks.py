"""Our networks against diffusers' with the same random weights, carried over by our key maps."""

import diffusers
import pytest
import torch
from tiny_networks import numbers, randomise, relative_error

from videoldm.checkpoints.layouts import diffusers as layout
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.autoencoder.config import AutoencoderConfig, PlainDecoder, TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.config import PlacedNormEps, UNetConfig, UniformNormEps
from videoldm.models.unet.network import VideoUNet

TOLERANCE = 1e-4
BATCH, FRAMES, HEIGHT, WIDTH = 2, 3, 8, 12
CONFIG = UNetConfig(
    concat_channels=4,
    channels=(32, 64, 64),
    num_res_blocks=1,
    attention_levels=(True, True, False),
    head_channels=16,
    context_dim=24,
    vector_dim=48,
    norm_eps=PlacedNormEps(),
)


@pytest.fixture(scope="module")
def their_unet():
    network = diffusers.UNetSpatioTemporalConditionModel(
        sample_size=None,
        in_channels=8,
        out_channels=4,
        down_block_types=("CrossAttnDownBlockSpatioTemporal",) * 2 + ("DownBlockSpatioTemporal",),
        up_block_types=("UpBlockSpatioTemporal",) + ("CrossAttnUpBlockSpatioTemporal",) * 2,
        block_out_channels=CONFIG.channels,
        addition_time_embed_dim=16,
        projection_class_embeddings_input_dim=48,
        layers_per_block=1,
        cross_attention_dim=24,
        num_attention_heads=(2, 4, 4),
        num_frames=FRAMES,
    )
    return randomise(network)


def unet_outputs(their_unet, config, num_tokens):
    unet = VideoUNet(config).eval()
    assert load_weights(unet, loaded_tensors(their_unet.state_dict()), layout.unet(config), source="diffusers") == []
    x = numbers(BATCH, FRAMES, 8, HEIGHT, WIDTH)
    context, time_ids = numbers(BATCH, num_tokens, 24, stream="context"), numbers(BATCH, 3, stream="ids").abs() * 50
    c_noise = torch.tensor([0.7, -0.4])
    # Their model embeds the three numbers itself, ours takes the embedded vector.
    vector = their_unet.add_time_proj(time_ids.flatten()).unflatten(0, (BATCH, 3)).flatten(1)
    conditions = Conditioning(
        context=context, vector=vector.unsqueeze(1).expand(-1, FRAMES, -1), concat=x[:, :, 4:].clone()
    )
    with torch.no_grad():
        theirs = [
            their_unet(x[i : i + 1], c_noise[i], context[i : i + 1], time_ids[i : i + 1]).sample for i in range(BATCH)
        ]
        return unet(x[:, :, :4], c_noise, conditions), torch.cat(theirs)


@pytest.mark.parametrize("num_tokens", [1, 5])
def test_unet_computes_what_diffusers_does(their_unet, num_tokens):
    assert relative_error(*unet_outputs(their_unet, CONFIG, num_tokens)) < TOLERANCE


def test_unet_keys_come_back_bit_for_bit(their_unet):
    unet = VideoUNet(CONFIG)
    key_map = layout.unet(CONFIG)
    load_weights(unet, loaded_tensors(their_unet.state_dict()), key_map, source="diffusers")
    back = key_map.to_foreign(unet.state_dict())
    assert back.keys() == their_unet.state_dict().keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in their_unet.state_dict().items())


def test_epsilons_of_the_norms_are_where_diffusers_has_them(their_unet):
    # Weak activations make the epsilon count: with it in the wrong place, outputs differ.
    weak = {k: v * 1e-2 if ".conv1." in k or k.startswith("conv_in") else v for k, v in their_unet.state_dict().items()}
    theirs = type(their_unet).from_config(their_unet.config).eval()
    theirs.load_state_dict(weak)
    assert relative_error(*unet_outputs(theirs, CONFIG, 1)) < TOLERANCE
    uniform = CONFIG.model_copy(update={"norm_eps": UniformNormEps()})
    assert relative_error(*unet_outputs(theirs, uniform, 1)) > TOLERANCE


AUTOENCODERS = {
    # Their temporal decoder has as many residual blocks in its middle as in a level, so only two fit.
    "temporal": (
        AutoencoderConfig(channels=(32, 64), num_res_blocks=2, project_latents=False, decoder=TemporalDecoder()),
        lambda: diffusers.AutoencoderKLTemporalDecoder(
            down_block_types=("DownEncoderBlock2D",) * 2, block_out_channels=(32, 64), layers_per_block=2
        ),
    ),
    "plain": (
        AutoencoderConfig(channels=(32, 64), num_res_blocks=1, decoder=PlainDecoder()),
        lambda: diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            block_out_channels=(32, 64),
            layers_per_block=1,
        ),
    ),
}


@pytest.fixture(scope="module", params=sorted(AUTOENCODERS))
def autoencoders(request):
    config, build = AUTOENCODERS[request.param]
    theirs = randomise(build())
    ours = Autoencoder(config).eval()
    assert load_weights(ours, loaded_tensors(theirs.state_dict()), layout.autoencoder(config), source="diffusers") == []
    return ours, theirs


@torch.no_grad()
def test_encoder_computes_what_diffusers_does(autoencoders):
    ours, theirs = autoencoders
    pixels = numbers(BATCH, FRAMES, 3, 16, 24)
    posterior, expected = ours.encode(pixels), theirs.encode(pixels.flatten(0, 1)).latent_dist
    assert relative_error(posterior.mode().flatten(0, 1), expected.mode()) < TOLERANCE
    assert relative_error(posterior.log_variance.flatten(0, 1), expected.logvar) < TOLERANCE


@torch.no_grad()
def test_decoder_computes_what_diffusers_does_for_two_clips_at_once(autoencoders):
    ours, theirs = autoencoders
    latents = numbers(BATCH, FRAMES, 4, 6, 4)
    options = {"num_frames": FRAMES} if isinstance(ours.config.decoder, TemporalDecoder) else {}
    expected = theirs.decode(latents.flatten(0, 1), **options).sample
    assert relative_error(ours.decode(latents).flatten(0, 1), expected) < TOLERANCE


def test_autoencoder_keys_come_back_bit_for_bit(autoencoders):
    ours, theirs = autoencoders
    back = layout.autoencoder(ours.config).to_foreign(ours.state_dict())
    assert back.keys() == theirs.state_dict().keys()
    assert all(torch.equal(back[key], tensor) for key, tensor in theirs.state_dict().items())
