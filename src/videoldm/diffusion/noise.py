"""Random draws of training and sampling: noise and noise levels, each sample's from its own stream.

Results therefore do not depend on batch size, neighbours or device.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from videoldm.core.random import SampleKey, generator, normal_batch
from videoldm.diffusion.config import (
    DiscreteUniform,
    IndependentNoise,
    LogNormal,
    NoiseLevels,
    OffsetNoise,
    TrainingNoise,
)
from videoldm.diffusion.schedules import discrete_sigmas


def start_noise(
    samples: Sequence[SampleKey], shape: tuple[int, int, int, int], sigma_max: float
) -> Float[Tensor, "b t c h w"]:
    """Draw the noise from which sampling starts, a clip of `shape` (t, c, h, w) for each sample (float32, on the CPU).

    Its standard deviation is sqrt(1 + sigma_max^2), that of data with unit variance plus noise of `sigma_max`.
    """
    return normal_batch(shape, samples, "start noise") * (1 + sigma_max**2) ** 0.5


def training_noise(
    noise: TrainingNoise, samples: Sequence[SampleKey], shape: tuple[int, ...]
) -> Float[Tensor, "b t c h w"]:
    """Draw the training noise of each clip of `shape` (t, c, h, w), not yet scaled by sigma (float32, on the CPU)."""
    drawn = normal_batch(shape, samples, "noise")
    match noise:
        case IndependentNoise():
            return drawn
        case OffsetNoise(strength=strength):
            return drawn + strength * normal_batch((1, shape[1], 1, 1), samples, "offset noise")
        case _:
            assert_never(noise)


@runtime_checkable
class NoiseSource(Protocol):
    """Source of a stochastic sampler's noise."""

    def __call__(self, like: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Draw standard normal noise of the shape, device and dtype of `like`; each call is a new draw."""
        ...


class SeededNoise:
    """Noise source with a separate stream for each sample of the batch."""

    def __init__(self, samples: Sequence[SampleKey]) -> None:
        self._generators = [generator(seed, "sampler", *position) for seed, *position in samples]

    def __call__(self, like: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Draw the next noise of every sample; `like` must hold as many samples as there are streams."""
        if len(like) != len(self._generators):
            raise ValueError(f"noise: {len(like)} samples requested from {len(self._generators)} streams")
        shape = tuple(like.shape[1:])
        return torch.stack([torch.randn(shape, generator=generator) for generator in self._generators]).to(like)


def draw_sigmas(noise_levels: NoiseLevels, generators: Sequence[Generator]) -> Float[Tensor, " b"]:
    """Draw one sigma for each clip, from the clip's own generator (float32, on the CPU).

    All frames of a clip share their level; with separate levels the clean frames would reveal the noisy ones.
    """
    return torch.stack([_draw(noise_levels, generator) for generator in generators])


def _draw(noise_levels: NoiseLevels, generator: Generator) -> Float[Tensor, ""]:
    match noise_levels:
        case LogNormal(p_mean=p_mean, p_std=p_std):
            return (p_mean + p_std * torch.randn((), generator=generator)).exp()
        case DiscreteUniform():
            levels = discrete_sigmas().float()
            return levels[torch.randint(len(levels), (), generator=generator)]
        case _:
            assert_never(noise_levels)
