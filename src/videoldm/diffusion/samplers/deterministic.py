"""Samplers that solve the probability-flow ODE; Euler and Heun can be perturbed (churn) before each step."""

from __future__ import annotations

from math import log

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.samplers.steps import OnStep, Perturb, Step, denoise_at, ignore_step, intervals, no_churn


def sample_euler(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    perturb: Perturb = no_churn,
    on_step: OnStep = ignore_step,
) -> Float[Tensor, "b t c h w"]:
    """Follow the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma in straight steps (EDM, sec. 3)."""
    for index, sigma, sigma_next in intervals(sigmas):
        x_hat, sigma_hat = perturb(x, sigma)
        denoised = denoise_at(denoise, x_hat, sigma_hat, conditioning)
        on_step(Step(index=index, sigma=sigma_hat, x=x_hat, denoised=denoised))
        slope = (x_hat - denoised) / sigma_hat
        x = x_hat + (sigma_next - sigma_hat) * slope
    return x


def sample_heun(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    perturb: Perturb = no_churn,
    on_step: OnStep = ignore_step,
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


def sample_dpmpp_2m(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    on_step: OnStep = ignore_step,
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


def sample_ddim(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    on_step: OnStep = ignore_step,
) -> Float[Tensor, "b t c h w"]:
    """Split x into x0 and noise, then put them together again at the next level (Song et al. 2021, eq. 12, eta 0).

    With x = x0 + sigma n in place of DDIM's sqrt(alpha) x0 + sqrt(1 - alpha) n, this is Euler's method exactly
    (their sec. 4.3); DDIM with eta > 0 is in the same way `sample_euler_ancestral`.
    """
    for index, sigma, sigma_next in intervals(sigmas):
        denoised = denoise_at(denoise, x, sigma, conditioning)
        on_step(Step(index=index, sigma=sigma, x=x, denoised=denoised))
        predicted_noise = (x - denoised) / sigma
        x = denoised + sigma_next * predicted_noise
    return x
