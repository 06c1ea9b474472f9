"""Random numbers of training and sampling: noise and noise levels, each sample's from its own stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, assert_never, runtime_checkable

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from videoldm.core.random import SampleKey, generator, normal
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
    """Noise from which sampling starts, one clip of `shape` (t, c, h, w) a sample (float32, on the CPU).

    Its deviation is sqrt(1 + sigma_max^2), that of data with unit variance and noise of `sigma_max`.
    """
    drawn = torch.stack([normal(shape, seed, "start noise", *position) for seed, *position in samples])
    return drawn * (1 + sigma_max**2) ** 0.5


def training_noise(
    noise: TrainingNoise, samples: Sequence[SampleKey], shape: tuple[int, ...]
) -> Float[Tensor, "b t c h w"]:
    """The noise that each clip of `shape` (t, c, h, w) is trained on, not yet scaled by sigma (float32, on the CPU)."""
    drawn = torch.stack([normal(shape, seed, "noise", *position) for seed, *position in samples])
    match noise:
        case IndependentNoise():
            return drawn
        case OffsetNoise(strength=strength):
            one_a_channel = (1, shape[1], 1, 1)
            shared = [normal(one_a_channel, seed, "offset noise", *position) for seed, *position in samples]
            return drawn + strength * torch.stack(shared)
        case _:
            assert_never(noise)


@runtime_checkable
class NoiseSource(Protocol):
    """Where a stochastic sampler gets its noise from."""

    def __call__(self, like: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Draw standard normal noise of the shape, device and dtype of `like`; each call is a new draw."""
        ...


class SeededNoise:
    """The noise source in which each sample of the batch has its own stream."""

    def __init__(self, samples: Sequence[SampleKey]) -> None:
        self._generators = [generator(seed, "sampler", *position) for seed, *position in samples]

    def __call__(self, like: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h w"]:
        """Draw the next noise of every sample; `like` must hold as many samples as there are streams."""
        if len(like) != len(self._generators):
            raise ValueError(f"noise: {len(like)} samples asked from {len(self._generators)} streams")
        return gaussian(self._generators, tuple(like.shape[1:])).to(like)


def gaussian(generators: Sequence[Generator], shape: tuple[int, ...]) -> Float[Tensor, "b ..."]:
    """Standard normal noise, one draw of `shape` from each generator (float32, on the CPU)."""
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators])


def draw_sigmas(noise_levels: NoiseLevels, generators: Sequence[Generator]) -> Float[Tensor, " b"]:
    """Draw one sigma a clip, each from the clip's own generator (float32, on the CPU).

    All frames of a clip share their level; a draw for each frame would let the clean frames give the noisy ones away.
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
