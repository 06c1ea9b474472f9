"""The denoising loss E[lambda(sigma) |D(x0 + n; sigma) - x0|^2] with n ~ N(0, sigma^2) (SVD, D.1)."""

from __future__ import annotations

from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import (
    SQUARED,
    Absolute,
    Distance,
    EDMWeighting,
    EpsWeighting,
    Squared,
    UnitWeighting,
    VWeighting,
    Weighting,
)
from videoldm.diffusion.denoiser import Denoiser, over_clip


def denoising_loss(
    denoise: Denoiser,
    x0: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, " b"],
    noise: Float[Tensor, "b t c h w"],
    conditioning: Conditioning,
    *,
    weighting: Weighting,
    distance: Distance = SQUARED,
) -> Float[Tensor, " b"]:
    """Compute the weighted distance between x0 and its prediction from x0 + sigma noise, one value for each clip."""
    denoised = denoise(x0 + over_clip(sigma) * noise, sigma, conditioning)
    return weighted_distance(denoised, x0, sigma, weighting=weighting, distance=distance)


def weighted_distance(
    predicted: Float[Tensor, "b t c h w"],
    target: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, " b"],
    *,
    weighting: Weighting,
    distance: Distance = SQUARED,
) -> Float[Tensor, " b"]:
    """Compute the weighted distance between clean latents predicted at `sigma` and their target, a value a clip."""
    return loss_weight(weighting, sigma) * _distance(distance, predicted, target).mean(dim=(1, 2, 3, 4))


def loss_weight(weighting: Weighting, sigma: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
    """Return lambda(sigma), the weight of a clip at that noise level."""
    match weighting:
        case VWeighting():
            return (sigma**2 + 1) / sigma**2
        case EDMWeighting(sigma_data=sigma_data):
            return (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
        case EpsWeighting():
            return 1 / sigma**2
        case UnitWeighting():
            return torch.ones_like(sigma)
        case _:
            assert_never(weighting)


def _distance(
    distance: Distance, predicted: Float[Tensor, "b t c h w"], x0: Float[Tensor, "b t c h w"]
) -> Float[Tensor, "b t c h w"]:
    match distance:
        case Squared():
            return (predicted - x0) ** 2
        case Absolute():
            return (predicted - x0).abs()
        case _:
            assert_never(distance)
