"""Targets of distillation: exact for a teacher whose ODE is known, and students that have learned are left alone."""

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.random import normal
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import AlignYourSteps, Exponential, Karras, KarrasToZero, SDDiscrete, few_step_schedule
from videoldm.diffusion.denoiser import over_clip
from videoldm.diffusion.distillation import (
    Segments,
    consistency_target,
    denoised_of_step,
    euler_step,
    segments_of,
    solution_target,
)
from videoldm.diffusion.samplers.deterministic import sample_euler
from videoldm.diffusion.schedules import schedule_sigmas

SCHEDULE = KarrasToZero(sigma_min=0.02, sigma_max=200.0)
SEGMENTS = segments_of(SCHEDULE, num_steps=4, size=6)
NOTHING = Conditioning()
DEVIATION = 0.5


def gaussian(x: Float[Tensor, "b t c h w"], sigma: Float[Tensor, " b"], conditioning: Conditioning) -> Tensor:
    """The denoiser of normal data with deviation 0.5."""
    return x * over_clip(DEVIATION**2 / (DEVIATION**2 + sigma**2))


def clips(count: int) -> Tensor:
    return normal((count, 2, 3, 4, 4), 0, "clips")


def jump_by(segments: Segments, x: Tensor, sigma: Tensor) -> Tensor:
    """Where the teacher's steps from a level in a segment end, one after the other."""
    levels = segments.sigmas.tolist()
    start = levels.index(float(sigma))
    stop = start // segments.size * segments.size + segments.size
    return sample_euler(gaussian, x[None], torch.tensor(levels[start : stop + 1]), NOTHING)[0]


@pytest.mark.parametrize("schedule", [SCHEDULE, KarrasToZero(), SDDiscrete(spacing="trailing")])
def test_levels_of_the_student_are_among_the_teachers(schedule: KarrasToZero | SDDiscrete) -> None:
    for num_steps in (1, 2, 4):
        segments = segments_of(schedule, num_steps=num_steps, size=5)
        torch.testing.assert_close(segments.sigmas[::5], schedule_sigmas(schedule, num_steps))
        assert segments.num_starts == 5 * num_steps


def test_a_schedule_whose_levels_do_not_nest_is_refused() -> None:
    with pytest.raises(ValueError, match="4 steps of karras are not among 24"):
        segments_of(Karras(), num_steps=4, size=6)


def test_schedules_of_few_steps_keep_the_range_of_levels() -> None:
    assert few_step_schedule(Karras(sigma_min=0.1, sigma_max=50)) == KarrasToZero(sigma_min=0.1, sigma_max=50)
    assert few_step_schedule(Exponential(sigma_min=0.1, sigma_max=50)) == KarrasToZero(sigma_min=0.1, sigma_max=50)
    assert few_step_schedule(SDDiscrete()) == SDDiscrete(spacing="trailing")
    assert few_step_schedule(AlignYourSteps()) == KarrasToZero()
    sigmas = schedule_sigmas(SCHEDULE, 4)
    assert (float(sigmas[0]), float(sigmas[-1])) == (200.0, 0.0)
    assert float(sigmas[-2]) > 0.5  # no step is spent on the lowest level


def test_steps_and_the_predictions_that_make_them_are_inverse() -> None:
    x, denoised = clips(2), clips(2) + 1
    sigma, sigma_next = torch.tensor([3.0, 2.0]), torch.tensor([1.0, 0.0])
    reached = euler_step(x, denoised, sigma, sigma_next)
    torch.testing.assert_close(reached[1], denoised[1])
    torch.testing.assert_close(denoised_of_step(x, reached, sigma, sigma_next), denoised)


def test_the_solution_is_where_the_teachers_steps_end() -> None:
    start = torch.tensor([0, 6, 12, 18])
    sigma, end = SEGMENTS.sigmas[start], SEGMENTS.sigmas[start + 6]
    x = clips(4) * over_clip(sigma)
    target = solution_target(gaussian, x, start, SEGMENTS, NOTHING)
    expected = torch.stack([jump_by(SEGMENTS, one, level) for one, level in zip(x, sigma, strict=True)])
    torch.testing.assert_close(euler_step(x, target, sigma, end), expected, rtol=1e-4, atol=1e-4)


def test_a_student_that_follows_the_teacher_is_its_own_target() -> None:
    """Consistency holds at every level for the map that the teacher's steps define, and for no other."""

    def finish(x: Tensor, sigma: Tensor, conditioning: Conditioning) -> Tensor:
        arrived = torch.stack([jump_by(SEGMENTS, one, level) for one, level in zip(x, sigma, strict=True)])
        starts = [SEGMENTS.sigmas.tolist().index(level) for level in sigma.tolist()]
        end = SEGMENTS.sigmas[SEGMENTS.last(torch.tensor(starts))]
        return denoised_of_step(x, arrived, sigma, end)

    start = torch.arange(SEGMENTS.num_starts)
    sigma = SEGMENTS.sigmas[start]
    x = clips(len(start)) * over_clip(sigma)
    target = consistency_target(gaussian, x, start, SEGMENTS, NOTHING, finish=finish)
    torch.testing.assert_close(target, finish(x, sigma, NOTHING), rtol=1e-3, atol=1e-3)
    other = consistency_target(gaussian, x, start, SEGMENTS, NOTHING, finish=gaussian)
    steps_left = SEGMENTS.size - start % SEGMENTS.size
    assert torch.equal(target[steps_left == 1], other[steps_left == 1])  # the teacher alone decides
    assert not torch.isclose(target, other, rtol=1e-3).flatten(1).all(1)[steps_left > 2].any()
