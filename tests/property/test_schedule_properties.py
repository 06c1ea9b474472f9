import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videoldm.diffusion.config import AlignYourSteps, Exponential, Karras, KarrasToZero, SDDiscrete
from videoldm.diffusion.schedules import schedule_sigmas

sigma_mins = st.floats(1e-4, 0.5)
sigma_maxs = st.floats(1.0, 1000.0)
schedules = st.one_of(
    st.builds(Karras, sigma_min=sigma_mins, sigma_max=sigma_maxs, rho=st.floats(1.0, 12.0)),
    st.builds(KarrasToZero, sigma_min=sigma_mins, sigma_max=sigma_maxs, rho=st.floats(1.0, 12.0)),
    st.builds(Exponential, sigma_min=sigma_mins, sigma_max=sigma_maxs),
    st.builds(SDDiscrete, spacing=st.sampled_from(["leading", "trailing", "linspace"])),
    st.just(AlignYourSteps()),
)
step_counts = st.integers(1, 300)


@given(schedules, step_counts)
def test_levels_fall_strictly_to_zero(schedule, num_steps):
    sigmas = schedule_sigmas(schedule, num_steps)
    assert sigmas.dtype == torch.float32
    assert len(sigmas) == num_steps + 1
    assert torch.all(sigmas.diff() < 0)
    assert sigmas[-1] == 0


@given(st.sampled_from([Karras, Exponential]), sigma_mins, sigma_maxs, st.integers(2, 300))
def test_both_ends_are_exact(schedule_type, sigma_min, sigma_max, num_steps):
    sigmas = schedule_sigmas(schedule_type(sigma_min=sigma_min, sigma_max=sigma_max), num_steps)
    ends = torch.tensor([sigma_max, sigma_min], dtype=torch.float32)
    torch.testing.assert_close(sigmas[[0, -2]], ends, rtol=1.2e-7, atol=0)


@given(st.integers(2, 999))
def test_discrete_levels_of_linspace_reach_both_ends(num_steps):
    sigmas = schedule_sigmas(SDDiscrete(spacing="linspace"), num_steps)
    assert sigmas[0].item() == pytest.approx(14.6146, rel=1e-5)
    assert sigmas[-2].item() == pytest.approx(0.0292, rel=2e-3)


@given(step_counts, st.sampled_from(["trailing", "linspace"]))
def test_discrete_spacings_start_at_the_top(num_steps, spacing):
    """The noise that sampling starts from must be that of the noisiest level; "leading" is known not to keep to it."""
    sigmas = schedule_sigmas(SDDiscrete(spacing=spacing), num_steps)
    assert float(sigmas[0]) == pytest.approx(14.6146, rel=1e-5)


@given(st.integers(1, 40))
def test_twice_the_align_your_steps_intervals_pass_through_the_same_levels(num_intervals):
    coarse = schedule_sigmas(AlignYourSteps(), num_intervals + 1)
    fine = schedule_sigmas(AlignYourSteps(), 2 * num_intervals + 1)
    torch.testing.assert_close(fine[:-1:2], coarse[:-1])
