"""Churn: raise the noise level a little before a step, so that the step also corrects earlier errors."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.config import Churn
from videoldm.diffusion.noise import NoiseSource

Perturb = Callable[[Float[Tensor, "b t c h w"], float], tuple[Float[Tensor, "b t c h w"], float]]
"""Takes (x, sigma) to (x_hat, sigma_hat), from where the step starts."""


def keep(x: Float[Tensor, "b t c h w"], sigma: float) -> tuple[Float[Tensor, "b t c h w"], float]:
    """No churn."""
    return x, sigma


def churning(churn: Churn, noise: NoiseSource, *, num_steps: int) -> Perturb:
    """Make the perturbation of EDM's algorithm 2, lines 4 to 6."""
    gamma = min(churn.s_churn / num_steps, 2**0.5 - 1)

    def perturb(x: Float[Tensor, "b t c h w"], sigma: float) -> tuple[Float[Tensor, "b t c h w"], float]:
        if not churn.s_tmin <= sigma <= churn.s_tmax:
            return x, sigma
        sigma_hat = sigma * (1 + gamma)
        return x + (sigma_hat**2 - sigma**2) ** 0.5 * churn.s_noise * noise(x), sigma_hat

    return perturb
