"""Draw the noise levels of training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from videoldm.diffusion.config import DiscreteUniform, LogNormal, NoiseLevels
from videoldm.diffusion.discrete import discrete_sigmas


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
