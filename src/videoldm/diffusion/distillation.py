"""Distillation into a model of few steps without guidance, whose every step jumps along a teacher's ODE.

A schedule of N k levels is cut into N segments of k; the student learns the map from each segment's first level to its
last one, so that N of Euler's steps without guidance sample from it (arXiv 2403.06807; 2404.13686, section 3.1).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import Schedule
from videoldm.diffusion.denoiser import Denoiser, over_clip
from videoldm.diffusion.schedules import schedule_sigmas


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Noise levels from the highest to 0 in segments of `size` steps of the teacher; the student steps over each."""

    sigmas: Float[Tensor, " levels"]
    size: int

    @property
    def num_starts(self) -> int:
        """Number of levels at which a step of the teacher starts."""
        return len(self.sigmas) - 1

    def first(self, start: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Return the first level of the segments in which these levels lie."""
        return start // self.size * self.size

    def last(self, start: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Return the last level of the segments in which steps from these levels lie; the next one begins there."""
        return self.first(start) + self.size


def segments_of(schedule: Schedule, *, num_steps: int, size: int) -> Segments:
    """Return the segments of a student of `num_steps` steps; raise ValueError if they are not its own levels."""
    sigmas = schedule_sigmas(schedule, num_steps * size)
    if not torch.allclose(sigmas[::size], schedule_sigmas(schedule, num_steps)):
        raise ValueError(f"{num_steps} steps of {schedule.kind} are not among {num_steps * size} of them")
    return Segments(sigmas=sigmas, size=size)


def euler_step(
    x: Float[Tensor, "b t c h w"],
    denoised: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, " b"],
    sigma_next: Float[Tensor, " b"],
) -> Float[Tensor, "b t c h w"]:
    """Return x at `sigma_next` by Euler's step of the probability-flow ODE, each clip from its own `sigma`."""
    return torch.lerp(denoised, x, over_clip(sigma_next / sigma))


def denoised_of_step(
    x: Float[Tensor, "b t c h w"],
    x_next: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, " b"],
    sigma_next: Float[Tensor, " b"],
) -> Float[Tensor, "b t c h w"]:
    """Return the prediction of x0 with which Euler's step goes from `x` to `x_next`."""
    return x + over_clip(sigma / (sigma - sigma_next)) * (x_next - x)


@torch.no_grad()
def consistency_target(
    teacher: Denoiser,
    x: Float[Tensor, "b t c h w"],
    start: Int[Tensor, " b"],
    segments: Segments,
    conditioning: Conditioning,
    *,
    finish: Denoiser,
) -> Float[Tensor, "b t c h w"]:
    """Return what the student should predict at `x`, at the levels numbered `start`, to agree with its own later step.

    The teacher takes one step; from there one step of `finish`, the student, leads to the end of the segment. Where the
    teacher's step ends there already, it is the target.
    """
    levels = segments.sigmas.to(x)
    sigma, between, end = levels[start], levels[start + 1], levels[segments.last(start)]
    reached = euler_step(x, teacher(x, sigma, conditioning), sigma, between)
    # The student sees every clip, because processes that share its weights must call it equally often.
    is_there = between == end
    since = torch.where(is_there, sigma, between)
    finished = euler_step(reached, finish(reached, since, conditioning), since, end)
    return denoised_of_step(x, torch.where(is_there.view(-1, 1, 1, 1, 1), reached, finished), sigma, end)


@torch.no_grad()
def solution_target(
    teacher: Denoiser,
    x: Float[Tensor, "b t c h w"],
    start: Int[Tensor, " b"],
    segments: Segments,
    conditioning: Conditioning,
) -> Float[Tensor, "b t c h w"]:
    """Return what the student should predict at `x`, at the first level of a segment each: the teacher's whole way."""
    levels = segments.sigmas.to(x)
    reached = x
    for step in range(segments.size):
        sigma, sigma_next = levels[start + step], levels[start + step + 1]
        reached = euler_step(reached, teacher(reached, sigma, conditioning), sigma, sigma_next)
    return denoised_of_step(x, reached, levels[start], levels[start + segments.size])
