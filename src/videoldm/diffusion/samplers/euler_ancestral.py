"""Ancestral Euler."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.noise import NoiseSource
from videoldm.diffusion.samplers.steps import OnStep, Step, denoise_at, ignore, intervals


def sample_euler_ancestral(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    on_step: OnStep = ignore,
) -> Float[Tensor, "b t c h w"]:
    """Step below the next level by Euler's method, then add fresh noise up to it: DDIM with `eta`, 1 being DDPM.

    The noise added has the variance that the reverse of the noising process has between the two levels
    (Song et al. 2021, eq. 16, divided by alpha).
    """
    for index, sigma, sigma_next in intervals(sigmas):
        denoised = denoise_at(denoise, x, sigma, conditioning)
        on_step(Step(index=index, sigma=sigma, x=x, denoised=denoised))
        sigma_up = eta * sigma_next * (1 - (sigma_next / sigma) ** 2) ** 0.5
        sigma_down = (sigma_next**2 - sigma_up**2) ** 0.5
        slope = (x - denoised) / sigma
        x = x + (sigma_down - sigma) * slope
        if sigma_up > 0:
            x = x + sigma_up * noise(x)
    return x
