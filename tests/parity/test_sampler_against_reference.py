"""A whole image-to-video run of the official code: Euler, v preconditioning, Karras levels, linear guidance."""

import pytest
import torch
from tiny_networks import official_unet_config, read_reference

from videoldm.checkpoints.layouts import sgm
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import Euler, Guidance, Karras, LinearOverFrames, VPrediction
from videoldm.diffusion.denoiser import Preconditioned
from videoldm.diffusion.guidance import Guided
from videoldm.diffusion.noise import SeededNoise
from videoldm.diffusion.samplers.sample import sample
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.models.unet.network import VideoUNet


@pytest.fixture(scope="module")
def reference(reference_folder):
    return read_reference(reference_folder / "sampler_euler_linear.safetensors")


@pytest.fixture(scope="module")
def denoise(reference):
    tensors, metadata = reference
    config = official_unet_config(metadata["config"])
    network = VideoUNet(config)
    weights = {key.removeprefix("weights."): value for key, value in tensors.items() if key.startswith("weights.")}
    network.load_state_dict(sgm.unet(config).to_native(weights))
    return Preconditioned(network.eval(), VPrediction())


def test_levels(reference):
    tensors, metadata = reference
    sigmas = schedule_sigmas(Karras(), int(metadata["steps"]))
    torch.testing.assert_close(sigmas[:-1], tensors["out.sigmas"], rtol=1e-5, atol=0)


@torch.inference_mode()
def test_the_run_gives_the_official_latents(reference, denoise):
    tensors, metadata = reference
    num_frames = int(metadata["num_frames"])
    conditioning = Conditioning(
        context=tensors["in.context"],
        vector=tensors["in.vector"][:, None].expand(-1, num_frames, -1),
        concat=tensors["in.cond_latent"][:, None].expand(-1, num_frames, -1, -1, -1),
    )
    scale = LinearOverFrames(min_scale=float(metadata["min_scale"]), max_scale=float(metadata["max_scale"]))
    sigmas = schedule_sigmas(Karras(), int(metadata["steps"]))
    latents = sample(
        Euler(),
        Guided(denoise, Guidance(scale=scale)),
        tensors["in.noise"][None] * (1 + sigmas[0] ** 2) ** 0.5,
        sigmas,
        conditioning,
        noise=SeededNoise([(0,)]),
    )
    expected = tensors["out.latents"]
    assert (latents[0] - expected).abs().max() < 1e-4 * expected.abs().max()
