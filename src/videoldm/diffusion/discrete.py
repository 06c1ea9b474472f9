"""The thousand noise levels of Stable Diffusion, in the notation x = x0 + sigma n."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

NUM_LEVELS = 1000
BETA_START = 0.00085
BETA_END = 0.012


def discrete_sigmas() -> Float[Tensor, " levels"]:
    """All levels, rising from 0.0292 to 14.6146 (float64, on the CPU).

    sqrt(beta) rises linearly ("scaled linear"), alpha-bar is the running product of 1 - beta, and
    sigma^2 = (1 - alpha-bar) / alpha-bar.
    """
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, NUM_LEVELS, dtype=torch.float64) ** 2
    alphas_bar = torch.cumprod(1 - betas, dim=0)
    return ((1 - alphas_bar) / alphas_bar).sqrt()


def nearest_index(sigma: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Index of the level nearest to each sigma."""
    levels = discrete_sigmas().to(device=sigma.device, dtype=sigma.dtype)
    return (sigma[:, None] - levels).abs().argmin(dim=1)
