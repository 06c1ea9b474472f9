"""DDIM."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.samplers.steps import OnStep, Step, denoise_at, ignore, intervals


def sample_ddim(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    on_step: OnStep = ignore,
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
