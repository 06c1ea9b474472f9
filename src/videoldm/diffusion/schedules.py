"""Schedules: the decreasing noise levels sigma_0 > ... > sigma_N of a sampler's N steps, where x = x0 + sigma n.

The thousand discrete levels of Stable Diffusion are here too.
"""

from __future__ import annotations

import math
from typing import assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.diffusion.config import (
    AlignYourSteps,
    Exponential,
    Karras,
    KarrasToZero,
    Schedule,
    SDDiscrete,
    Spacing,
)

NUM_LEVELS = 1000
BETA_START = 0.00085
BETA_END = 0.012
AYS_SIGMAS = (700.0, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034)
"""Noise levels published for SVD (Sabour et al. 2024, "Align Your Steps")."""


def schedule_sigmas(schedule: Schedule, num_steps: int) -> Float[Tensor, " levels"]:
    """Return the levels at which the steps start and the final one (`num_steps` + 1 values, float32, on the CPU).

    A single step starts from the schedule's highest level, unless its spacing is "leading". A step that would end where
    it starts is left out. Raises InputError for a number of steps out of range.
    """
    if num_steps < 1:
        raise InputError(f"steps: {num_steps} is too few, give 1 or more")
    match schedule:
        case Karras(sigma_min=sigma_min, sigma_max=sigma_max, rho=rho):
            levels = _karras(num_steps, sigma_min, sigma_max, rho)
        case KarrasToZero(sigma_min=sigma_min, sigma_max=sigma_max, rho=rho):
            levels = _karras(num_steps + 1, sigma_min, sigma_max, rho)[:-1]
        case Exponential(sigma_min=sigma_min, sigma_max=sigma_max):
            levels = _exponential(num_steps, sigma_min, sigma_max)
        case SDDiscrete():
            levels = _sd_discrete(num_steps, schedule.spacing)
        case AlignYourSteps():
            levels = _align_your_steps(num_steps)
        case _:
            assert_never(schedule)
    last = _last_level(schedule)
    return torch.cat([levels[levels > last], levels.new_tensor([last])]).float()


def discrete_sigmas() -> Float[Tensor, " levels"]:
    """Return Stable Diffusion's levels, increasing from 0.0292 to 14.6146 (float64, on the CPU).

    sqrt(beta) increases linearly ("scaled linear"), alpha-bar is the running product of 1 - beta, and
    sigma^2 = (1 - alpha-bar) / alpha-bar.
    """
    betas = torch.linspace(BETA_START**0.5, BETA_END**0.5, NUM_LEVELS, dtype=torch.float64) ** 2
    alphas_bar = torch.cumprod(1 - betas, dim=0)
    return ((1 - alphas_bar) / alphas_bar).sqrt()


def nearest_index(sigma: Float[Tensor, " b"]) -> Int[Tensor, " b"]:
    """Return the index of the discrete level nearest to each sigma."""
    levels = discrete_sigmas().to(device=sigma.device, dtype=sigma.dtype)
    return (sigma[:, None] - levels).abs().argmin(dim=1)


def _last_level(schedule: Schedule) -> float:
    ends_early = isinstance(schedule, SDDiscrete) and schedule.last_level == "lowest"
    return float(discrete_sigmas()[0]) if ends_early else 0.0


def _karras(num_steps: int, sigma_min: float, sigma_max: float, rho: float) -> Float[Tensor, " steps"]:
    """Equal steps in sigma^(1 / rho) (EDM, eq. 5)."""
    return _ramp(sigma_max ** (1 / rho), sigma_min ** (1 / rho), num_steps) ** rho


def _exponential(num_steps: int, sigma_min: float, sigma_max: float) -> Float[Tensor, " steps"]:
    return _ramp(math.log(sigma_max), math.log(sigma_min), num_steps).exp()


def _sd_discrete(num_steps: int, spacing: Spacing) -> Float[Tensor, " steps"]:
    if num_steps >= NUM_LEVELS:
        raise InputError(f"steps: {num_steps} is too many for a discrete schedule, give at most {NUM_LEVELS - 1}")
    falling = torch.arange(num_steps - 1, -1, -1, dtype=torch.float64)
    stride = NUM_LEVELS / num_steps
    match spacing:
        case "leading":
            indices = 1 + falling.long() * (NUM_LEVELS // num_steps)
        case "trailing":
            indices = ((falling + 1) * stride).round().long() - 1
        case "linspace":
            indices = _ramp(NUM_LEVELS - 1, 0, num_steps).round().long()
        case _:
            assert_never(spacing)
    return discrete_sigmas()[indices]


def _align_your_steps(num_steps: int) -> Float[Tensor, " steps"]:
    """Interpolate ln sigma of the published levels linearly over the steps."""
    curve = torch.tensor(AYS_SIGMAS, dtype=torch.float64).log()
    position = _ramp(0, len(curve) - 1, num_steps)
    left = position.long().clamp(max=len(curve) - 2)
    return torch.lerp(curve[left], curve[left + 1], position - left).exp()


def _ramp(first: float, last: float, num_steps: int) -> Float[Tensor, " steps"]:
    return torch.linspace(first, last, num_steps, dtype=torch.float64)
