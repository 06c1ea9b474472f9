"""The same clip by our model and by diffusers' pipeline: from one picture and one start noise, in equal steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from videoldm.core.random import generator
from videoldm.diffusion.config import Guidance, Karras, LinearOverFrames
from videoldm.diffusion.noise import start_noise
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.inference.decode import decode
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_latents
from videoldm.tasks.task import Inputs

SEED = 2026
SCALES = (1.0, 3.0)
"""Of guidance, at the first and the last frame."""
FACTOR = 8


@dataclass(frozen=True, kw_only=True)
class ClipRequest:
    """A clip, without noise on its picture: the two would draw different noise."""

    picture: Image.Image
    num_frames: int
    num_steps: int


def random_picture(height: int, width: int) -> Image.Image:
    """Coarse random colours."""
    coarse = torch.rand(8, 8, 3, generator=generator(SEED, "picture"))
    return Image.fromarray((coarse * 255).byte().numpy()).resize((width, height), Image.Resampling.BICUBIC)


@torch.no_grad()
def our_latents(model: VideoModel, request: ClipRequest) -> Float[Tensor, "1 t c h w"]:
    """Model latents by ours."""
    pixels = torch.from_numpy(np.array(request.picture)).permute(2, 0, 1)[None] / 127.5 - 1
    inputs = Inputs(samples=[(SEED,)], pictures=pixels, fps=[7], motion_bucket=[127], noise_level=[0.0])
    lowest, highest = SCALES
    sampling = SamplingConfig(
        num_inference_steps=request.num_steps,
        schedule=Karras(),
        guidance=Guidance(scale=LinearOverFrames(min_scale=lowest, max_scale=highest)),
    )
    width, height = request.picture.size
    return sample_latents(model, inputs, sampling=sampling, num_frames=request.num_frames, height=height, width=width)


def our_frames(model: VideoModel, latents: Float[Tensor, "1 t c h w"]) -> Float[Tensor, "1 t 3 hf wf"]:
    """Pixels by ours, in bounded memory."""
    return decode(model.autoencoder, model.to_raw_latents(latents), device=model.device).clamp(-1, 1).float()


def diffusers_latents(pipeline: Any, request: ClipRequest) -> Float[Tensor, "1 t c h w"]:
    """Model latents by diffusers' StableVideoDiffusionPipeline."""
    width, height = request.picture.size
    shape = (request.num_frames, pipeline.unet.config.out_channels, height // FACTOR, width // FACTOR)
    noise = start_noise([(SEED,)], shape, float(schedule_sigmas(Karras(), request.num_steps)[0]))
    pipeline.scheduler.set_timesteps(request.num_steps)
    lowest, highest = SCALES
    return pipeline(
        request.picture,
        height=height,
        width=width,
        num_frames=request.num_frames,
        num_inference_steps=request.num_steps,
        min_guidance_scale=lowest,
        max_guidance_scale=highest,
        noise_aug_strength=0.0,
        latents=(noise / pipeline.scheduler.init_noise_sigma).to(pipeline.device, pipeline.dtype),
        output_type="latent",
    ).frames


@torch.no_grad()
def diffusers_frames(pipeline: Any, latents: Float[Tensor, "1 t c h w"]) -> Float[Tensor, "1 t 3 hf wf"]:
    """Pixels by diffusers, all frames at once, as its pipeline does by default."""
    num_frames = latents.shape[1]
    frames: Tensor = pipeline.decode_latents(latents, num_frames, decode_chunk_size=num_frames)
    return frames.clamp(-1, 1).transpose(1, 2)
