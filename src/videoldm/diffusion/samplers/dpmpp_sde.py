"""SDE-DPM-Solver++ of second order."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.noise import NoiseSource
from videoldm.diffusion.samplers.steps import OnStep, Step, denoise_at, ignore, intervals


def sample_dpmpp_sde(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    noise: NoiseSource,
    on_step: OnStep = ignore,
) -> Float[Tensor, "b t c h w"]:
    """Solve the reverse SDE's linear part exactly and take D from the middle of the step.

    Lu et al. 2022 (arXiv 2211.01095), SDE-DPM-Solver++: with D held constant, the way from sigma to q sigma is
    x' = q^2 x + (1 - q^2) D + q sigma sqrt(1 - q^2) z. The middle lies half-way in ln sigma, so that both halves of a
    step have the same q, and the whole step's noise is composed of its halves', so that both follow one noise path.
    """
    for index, sigma, sigma_next in intervals(sigmas):
        denoised = denoise_at(denoise, x, sigma, conditioning)
        on_step(Step(index=index, sigma=sigma, x=x, denoised=denoised))
        if sigma_next == 0:
            return denoised
        sigma_mid = (sigma * sigma_next) ** 0.5
        q = sigma_mid / sigma
        spread = (1 - q**2) ** 0.5
        z_first, z_second = noise(x), noise(x)
        x_mid = q**2 * x + (1 - q**2) * denoised + sigma_mid * spread * z_first
        denoised_mid = denoise_at(denoise, x_mid, sigma_mid, conditioning)
        x = q**4 * x + (1 - q**4) * denoised_mid + sigma_next * spread * (q * z_first + z_second)
    return x
