"""Sampling: runs the sampler that a config describes."""

from __future__ import annotations

from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import DDIM, DPMPP2M, DPMPPSDE, Churn, Euler, EulerAncestral, Heun, Sampler
from videoldm.diffusion.denoiser import Denoiser
from videoldm.diffusion.noise import NoiseSource
from videoldm.diffusion.samplers.deterministic import sample_ddim, sample_dpmpp_2m, sample_euler, sample_heun
from videoldm.diffusion.samplers.steps import OnStep, Perturb, ignore_step, no_churn
from videoldm.diffusion.samplers.stochastic import churn_perturbation, sample_dpmpp_sde, sample_euler_ancestral


def sample(
    sampler: Sampler,
    denoise: Denoiser,
    x: Float[Tensor, "b t c h w"],
    sigmas: Float[Tensor, " levels"],
    conditioning: Conditioning,
    *,
    noise: NoiseSource,
    on_step: OnStep = ignore_step,
) -> Float[Tensor, "b t c h w"]:
    """Sample from `x` at the level sigmas[0] down to the last one, which is 0 for clean model latents.

    noise: used by stochastic samplers only.
    """
    match sampler:
        case Euler(churn=churn):
            perturb = _perturb(churn, noise, sigmas)
            return sample_euler(denoise, x, sigmas, conditioning, perturb=perturb, on_step=on_step)
        case Heun(churn=churn):
            perturb = _perturb(churn, noise, sigmas)
            return sample_heun(denoise, x, sigmas, conditioning, perturb=perturb, on_step=on_step)
        case DPMPP2M():
            return sample_dpmpp_2m(denoise, x, sigmas, conditioning, on_step=on_step)
        case DPMPPSDE():
            return sample_dpmpp_sde(denoise, x, sigmas, conditioning, noise=noise, on_step=on_step)
        case DDIM():
            return sample_ddim(denoise, x, sigmas, conditioning, on_step=on_step)
        case EulerAncestral(eta=eta):
            return sample_euler_ancestral(denoise, x, sigmas, conditioning, noise=noise, eta=eta, on_step=on_step)
        case _:
            assert_never(sampler)


def _perturb(churn: Churn | None, noise: NoiseSource, sigmas: Float[Tensor, " levels"]) -> Perturb:
    return no_churn if churn is None else churn_perturbation(churn, noise, num_steps=len(sigmas) - 1)
