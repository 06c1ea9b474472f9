"""Heun's method."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.samplers.churn import Perturb, keep
from videoldm.diffusion.samplers.steps import OnStep, Step, denoise_at, ignore, intervals


def sample_heun(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    perturb: Perturb = keep,
    on_step: OnStep = ignore,
) -> Float[Tensor, "b t c h w"]:
    """Follow the probability-flow ODE with the mean of the slopes at both ends of a step (EDM, algorithms 1 and 2).

    The step to sigma 0, where the slope is not defined, is Euler's.
    """
    for index, sigma, sigma_next in intervals(sigmas):
        x_hat, sigma_hat = perturb(x, sigma)
        denoised = denoise_at(denoise, x_hat, sigma_hat, conditioning)
        on_step(Step(index=index, sigma=sigma_hat, x=x_hat, denoised=denoised))
        slope = (x_hat - denoised) / sigma_hat
        x = x_hat + (sigma_next - sigma_hat) * slope
        if sigma_next > 0:
            slope_next = (x - denoise_at(denoise, x, sigma_next, conditioning)) / sigma_next
            x = x_hat + (sigma_next - sigma_hat) * (slope + slope_next) / 2
    return x
