"""Euler's method."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.samplers.churn import Perturb, keep
from videoldm.diffusion.samplers.steps import OnStep, Step, denoise_at, ignore, intervals


def sample_euler(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    perturb: Perturb = keep,
    on_step: OnStep = ignore,
) -> Float[Tensor, "b t c h w"]:
    """Follow the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma in straight steps (EDM, sec. 3)."""
    for index, sigma, sigma_next in intervals(sigmas):
        x_hat, sigma_hat = perturb(x, sigma)
        denoised = denoise_at(denoise, x_hat, sigma_hat, conditioning)
        on_step(Step(index=index, sigma=sigma_hat, x=x_hat, denoised=denoised))
        slope = (x_hat - denoised) / sigma_hat
        x = x_hat + (sigma_next - sigma_hat) * slope
    return x
