"""The loss of stages that denoise."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from videoldm.core.random import SampleKey, generator
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.loss import denoising_loss
from videoldm.diffusion.noise import training_noise
from videoldm.diffusion.noise_levels import draw_sigmas
from videoldm.tasks.model import VideoModel
from videoldm.training.objective import Losses
from videoldm.training.stages.denoising_config import DenoisingStage


def denoising_losses(
    model: VideoModel,
    stage: DenoisingStage,
    x0: Float[Tensor, "b t c h w"],
    conditioning: Conditioning,
    *,
    keys: Sequence[SampleKey],
    waiting_s: float = 0.0,
) -> Losses:
    """The loss of each sample of model latents at a noise level and with noise of its own, both drawn by its key."""
    sigma = draw_sigmas(stage.noise_levels, [generator(seed, "noise level", *at) for seed, *at in keys])
    loss = denoising_loss(
        model.denoiser,
        x0,
        sigma.to(x0),
        training_noise(stage.noise, keys, tuple(x0.shape[1:])).to(x0),
        conditioning,
        weighting=stage.weighting,
        distance=stage.distance,
    )
    return Losses(per_sample=loss.float(), sigma=sigma, waiting_s=waiting_s)
