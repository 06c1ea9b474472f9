"""Our networks against outputs that the official code computed with random weights."""

import pytest
import torch
from tiny_networks import official_unet_config, read_reference, relative_error

from videoldm.checkpoints.layouts import sgm
from videoldm.checkpoints.part import load_weights
from videoldm.checkpoints.storage.safetensors import loaded_tensors
from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.unet.network import VideoUNet

TOLERANCE = 1e-4


@pytest.fixture(scope="module", params=["unet_one_token", "unet_many_tokens"])
def unet_case(request, reference_folder):
    tensors, metadata = read_reference(reference_folder / f"{request.param}.safetensors")
    config = official_unet_config(metadata["config"])
    unet = VideoUNet(config)
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    assert load_weights(unet, loaded_tensors(weights), sgm.unet(config), source=request.param) == []
    clips = int(metadata["batch"]), int(metadata["num_frames"])
    frames = {key: value.unflatten(0, clips) for key, value in tensors.items() if key.startswith(("in.", "out."))}
    return unet, frames


@pytest.mark.parametrize(("image_only", "output"), [(False, "out.video"), (True, "out.image_only")])
@pytest.mark.parametrize("with_gradients", [False, True])
def test_unet_computes_what_the_official_code_does(unet_case, image_only, output, with_gradients):
    unet, frames = unet_case
    x, concat = frames["in.x"].split([unet.config.in_channels, unet.config.concat_channels], dim=2)
    conditions = Conditioning(
        context=frames["in.context"][:, 0],
        vector=frames["in.y"],
        concat=concat,
        image_only=torch.full(x.shape[:2], image_only),
    )
    with torch.set_grad_enabled(with_gradients):
        ours = unet(x, frames["in.c_noise"][:, 0], conditions)
    assert relative_error(ours.detach(), frames[output]) < TOLERANCE


@pytest.fixture(scope="module")
def autoencoder_case(reference_folder):
    tensors, metadata = read_reference(reference_folder / "autoencoder.safetensors")
    official = metadata["config"]
    config = AutoencoderConfig(
        latent_channels=official["z_channels"],
        channels=tuple(official["ch"] * multiplier for multiplier in official["ch_mult"]),
        num_res_blocks=official["num_res_blocks"],
        project_moments=False,
        project_latents=False,
        decoder=TemporalDecoder(),
    )
    autoencoder = Autoencoder(config)
    weights = {key: value for key, value in tensors.items() if key.startswith(("encoder.", "decoder."))}
    assert load_weights(autoencoder, loaded_tensors(weights), sgm.autoencoder(config), source="autoencoder") == []
    return autoencoder, tensors


@torch.no_grad()
def test_encoder_computes_what_the_official_code_does(autoencoder_case):
    autoencoder, tensors = autoencoder_case
    posterior = autoencoder.encode(tensors["in.pixels"][None])
    ours = torch.cat([posterior.mean, posterior.log_variance], dim=2)
    assert relative_error(ours[0], tensors["out.moments"]) < TOLERANCE


@torch.no_grad()
def test_temporal_decoder_computes_what_the_official_code_does(autoencoder_case):
    autoencoder, tensors = autoencoder_case
    ours = autoencoder.decode(tensors["in.z"][None])
    assert relative_error(ours[0], tensors["out.frames"]) < TOLERANCE
