"""Solvers of the probability-flow ODE; Euler's and Heun's can be perturbed before each step (churn)."""

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
    """Solve the probability-flow ODE dx/dsigma = (x - D(x; sigma)) / sigma by Euler's method (EDM, sec. 3)."""
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
    """Solve the ODE by Heun's method: the mean of the slopes at both ends of a step (EDM, algorithms 1 and 2).

    The step to sigma 0, where the slope is undefined, is Euler's.
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
    """Solve the ODE by DPM-Solver++(2M): its linear part exactly, D extrapolated from the previous step.

    Lu et al. 2022 (arXiv 2211.01095), algorithm 2; in their notation h = ln(sigma / sigma_next), r = h_before / h,
    e^(-h) = sigma_next / sigma and alpha = 1. The first step, which has no previous one, and the step to sigma 0 are of
    first order.
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
    """Sample by DDIM: split x into x0 and noise and recombine them at the next level (Song et al. 2021, eq. 12, eta 0).

    With x = x0 + sigma n in place of DDIM's sqrt(alpha) x0 + sqrt(1 - alpha) n, this equals Euler's method (their sec.
    4.3); DDIM with eta > 0 equals `sample_euler_ancestral`.
    """
    for index, sigma, sigma_next in intervals(sigmas):
        denoised = denoise_at(denoise, x, sigma, conditioning)
        on_step(Step(index=index, sigma=sigma, x=x, denoised=denoised))
        predicted_noise = (x - denoised) / sigma
        x = denoised + sigma_next * predicted_noise
    return x
