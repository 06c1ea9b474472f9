"""Parts that all samplers share: iteration over the levels, the call of the denoiser, the callback after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser


@dataclass(frozen=True, kw_only=True)
class Step:
    """State of a sampler in one step, as passed to `on_step`; `denoised` is the current estimate of clean latents."""

    index: int
    sigma: float
    x: Float[Tensor, "b t c h w"]
    denoised: Float[Tensor, "b t c h w"]


Perturb = Callable[[Float[Tensor, "b t c h w"], float], tuple[Float[Tensor, "b t c h w"], float]]
"""Maps (x, sigma) to (x_hat, sigma_hat), at which the step starts."""

OnStep = Callable[[Step], None]
"""Callback, called once in each step after its first network call; it can stop the sampler by raising."""


def ignore_step(step: Step) -> None:
    """Do nothing; the default `on_step`."""


def no_churn(x: Float[Tensor, "b t c h w"], sigma: float) -> tuple[Float[Tensor, "b t c h w"], float]:
    """Start the step from x itself; the default `perturb`."""
    return x, sigma


def intervals(sigmas: Float[Tensor, " levels"]) -> Iterator[tuple[int, float, float]]:
    """Yield (index, sigma, sigma_next) of each step; raises ValueError unless the levels decrease and none is negative.

    They are plain numbers, so that coefficients are computed in double precision and without waiting for a device.
    """
    levels: list[float] = sigmas.tolist()
    if any(sigma <= sigma_next for sigma, sigma_next in pairwise(levels)) or levels[-1] < 0:
        raise ValueError(f"sigmas: {levels} should fall from step to step and not below 0")
    for index, (sigma, sigma_next) in enumerate(pairwise(levels)):
        yield index, sigma, sigma_next


def denoise_at(
    denoise: Denoiser, x: Float[Tensor, "b t c h w"], sigma: float, conditioning: Conditioning
) -> Float[Tensor, "b t c h w"]:
    """Denoise a batch of clips at one common noise level."""
    precision = torch.promote_types(x.dtype, torch.float32)
    return denoise(x, torch.full((len(x),), sigma, dtype=precision, device=x.device), conditioning)
