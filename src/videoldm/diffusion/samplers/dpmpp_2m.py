"""DPM-Solver++(2M)."""

from __future__ import annotations

from math import log

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.samplers.steps import OnStep, Step, denoise_at, ignore, intervals


def sample_dpmpp_2m(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    on_step: OnStep = ignore,
) -> Float[Tensor, "b t c h w"]:
    """Solve the ODE's linear part exactly and extrapolate D from the step before.

    Lu et al. 2022 (arXiv 2211.01095), algorithm 2; in their notation h = ln(sigma / sigma_next), r = h_before / h,
    e^(-h) = sigma_next / sigma and alpha = 1. The first step, which has nothing to extrapolate from, and the one to
    sigma 0 are of first order.
    """
    h_before, denoised_before = 0.0, x
    for index, sigma, sigma_next in intervals(sigmas):
        denoised = denoise_at(denoise, x, sigma, conditioning)
        on_step(Step(index=index, sigma=sigma, x=x, denoised=denoised))
        ahead = denoised
        if sigma_next > 0:
            h = log(sigma / sigma_next)
            if index > 0:
                r = h_before / h
                ahead = denoised + (denoised - denoised_before) / (2 * r)
            h_before, denoised_before = h, denoised
        x = sigma_next / sigma * x + (1 - sigma_next / sigma) * ahead
    return x
