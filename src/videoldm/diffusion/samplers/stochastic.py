"""Solvers of the reverse SDE, which add fresh noise in each step, and churn for the deterministic ones."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import Churn
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.noise import NoiseSource
from videoldm.diffusion.samplers.steps import OnStep, Perturb, Step, denoise_at, ignore_step, intervals


def sample_euler_ancestral(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    noise: NoiseSource,
    eta: float = 1.0,
    on_step: OnStep = ignore_step,
) -> Float[Tensor, "b t c h w"]:
    """Sample by ancestral Euler: step below the next level, then add noise up to it; DDIM with `eta`, 1 being DDPM.

    The added noise has the variance that the reverse of the noising process has between the two levels
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


def sample_dpmpp_sde(
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    noise: NoiseSource,
    on_step: OnStep = ignore_step,
) -> Float[Tensor, "b t c h w"]:
    """Sample by SDE-DPM-Solver++ of second order: the SDE's linear part exactly, D from the middle of the step.

    Lu et al. 2022 (arXiv 2211.01095): with D held constant, the solution from sigma to q sigma is
    x' = q^2 x + (1 - q^2) D + q sigma sqrt(1 - q^2) z. The middle is half-way in ln sigma, so that both halves of a
    step have the same q, and the noise of the whole step is composed of its halves', so that both follow one path.
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


def churn_perturbation(churn: Churn, noise: NoiseSource, *, num_steps: int) -> Perturb:
    """Return the perturbation that raises the noise level before each step, which also corrects earlier errors.

    EDM, algorithm 2, lines 4 to 6.
    """
    gamma = min(churn.s_churn / num_steps, 2**0.5 - 1)

    def perturb(x: Float[Tensor, "b t c h w"], sigma: float) -> tuple[Float[Tensor, "b t c h w"], float]:
        if not churn.s_tmin <= sigma <= churn.s_tmax:
            return x, sigma
        sigma_hat = sigma * (1 + gamma)
        return x + (sigma_hat**2 - sigma**2) ** 0.5 * churn.s_noise * noise(x), sigma_hat

    return perturb
