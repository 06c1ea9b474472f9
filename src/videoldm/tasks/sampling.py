"""Sampling: from inputs to pixels, the same for every task."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.config import MicroConfig
from videoldm.diffusion.guidance import Guided
from videoldm.diffusion.noise import SeededNoise, start_noise
from videoldm.diffusion.samplers.sample import sample
from videoldm.diffusion.samplers.steps import OnStep, ignore_step
from videoldm.diffusion.schedules import schedule_sigmas
from videoldm.inference.config import RunPhase
from videoldm.inference.decode import decode
from videoldm.tasks.conditioning import unconditional
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Inputs


class Watch(Protocol):
    """Sees the phases of a run begin and end."""

    def __call__(self, phase: RunPhase, /) -> AbstractContextManager[None]:
        """Return a context around one phase."""
        ...


def unwatched(phase: RunPhase) -> AbstractContextManager[None]:
    """Return a context that does nothing."""
    del phase
    return nullcontext()


@torch.no_grad()
def sample_clips(
    model: VideoModel,
    inputs: Inputs,
    *,
    sampling: SamplingConfig | None = None,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    on_step: OnStep = ignore_step,
    watch: Watch = unwatched,
) -> Float[Tensor, "b t 3 h w"]:
    """Pixels in [-1, 1] of a batch of clips, one for each sample of `inputs`; None means the model's default.

    Each clip depends on its own seed and inputs, not on its batch (contract 4). Sides must be multiples of the
    autoencoder's factor.
    """
    latents = sample_latents(
        model,
        inputs,
        sampling=sampling or model.config.sampling,
        num_frames=num_frames or model.config.num_frames,
        height=height or model.config.height,
        width=width or model.config.width,
        on_step=on_step,
        watch=watch,
    )
    with watch("decode"), model.at_work(model.autoencoder):
        pixels = decode(
            model.autoencoder,
            model.to_raw_latents(latents),
            chunk_frames=model.memory.decoding.chunk_size,
            tiles=model.memory.decoding.tiles,
            map_device="cpu" if model.memory.has("decode-from-host") else None,
        )
    return task_named(model.config.task).finish(inputs, pixels.clamp_(-1, 1).float())


def sample_latents(
    model: VideoModel,
    inputs: Inputs,
    *,
    sampling: SamplingConfig,
    num_frames: int,
    height: int,
    width: int,
    on_step: OnStep = ignore_step,
    watch: Watch = unwatched,
) -> Float[Tensor, "b t c h_latent w_latent"]:
    """Model latents of a batch of clips."""
    task = task_named(model.config.task)
    factor = model.autoencoder.config.factor
    with watch("encode"):
        conditioning = task.conditioning(model, _calibrated(inputs, model.config.micro), num_frames=num_frames)
        drop = unconditional(task, model)
    sigmas = schedule_sigmas(sampling.schedule, sampling.num_inference_steps)
    shape = (num_frames, model.unet.config.in_channels, height // factor, width // factor)
    noise = start_noise(inputs.samples, shape, float(sigmas[0])).to(model.device)
    with watch("denoise"), model.at_work(model.unet):
        denoiser = model.denoiser_for_run(sampling.reuse)
        denoise = Guided(denoiser, sampling.guidance, drop=drop)
        latents = sample(
            sampling.sampler, denoise, noise, sigmas, conditioning, noise=SeededNoise(inputs.samples), on_step=on_step
        )
    # A schedule that ends above 0 leaves noise; as in Stable Diffusion, the sum then has the variance of the data.
    return latents * (1 + float(sigmas[-1]) ** 2) ** -0.5


def _calibrated(inputs: Inputs, micro: MicroConfig) -> Inputs:
    """Return inputs with the motion buckets that make clips move as much as the given ones say."""
    if (calibration := micro.motion_calibration) is None:
        return inputs
    return replace(inputs, motion_bucket=[calibration.conditioned_on(told) for told in inputs.motion_bucket])
