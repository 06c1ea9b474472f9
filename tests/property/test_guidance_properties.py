import torch
from hypothesis import given
from hypothesis import strategies as st

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import Constant, Guidance, Interval, LinearOverFrames, Trapezoid, Triangle
from videoldm.diffusion.guidance import Guided, frame_scales, scales_at

scale_values = st.floats(-2.0, 12.0)
frame_counts = st.integers(1, 30)
range_types = st.sampled_from([LinearOverFrames, Triangle, Trapezoid])
sigmas = st.floats(0.002, 700.0)


def two_branches(conditional, unconditional):
    """A denoiser that answers one tensor where there is a context and another where it is zero."""

    def denoise(x, sigma, conditioning):
        given = conditioning.context.any(dim=2).any(dim=1).view(-1, 1, 1, 1, 1)
        return torch.where(given, conditional, unconditional)

    return denoise


def draw(seed, num_frames, count):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, num_frames, 4, 2, 2, generator=generator, dtype=torch.float64) for _ in range(count)]


def guide(guidance, conditional, unconditional, *, sigma=1.0):
    guided = Guided(two_branches(conditional, unconditional), guidance)
    level = torch.full((2,), sigma, dtype=torch.float64)
    return guided(torch.zeros_like(conditional), level, Conditioning(context=torch.ones(2, 1, 8)))


@given(range_types, frame_counts, st.integers(0, 2**32))
def test_scale_1_is_the_conditional_prediction(scale_type, num_frames, seed):
    conditional, unconditional = draw(seed, num_frames, 2)
    guidance = Guidance(scale=scale_type(min_scale=1.0, max_scale=1.0))
    assert torch.equal(guide(guidance, conditional, unconditional), conditional)


@given(frame_counts, st.integers(0, 2**32))
def test_scale_0_is_the_unconditional_prediction(num_frames, seed):
    conditional, unconditional = draw(seed, num_frames, 2)
    guidance = Guidance(scale=Constant(scale=0.0))
    assert torch.equal(guide(guidance, conditional, unconditional), unconditional)


@given(range_types, scale_values, scale_values, frame_counts, st.integers(0, 2**32))
def test_guidance_is_linear_in_its_branches(scale_type, min_scale, max_scale, num_frames, seed):
    c1, c2, u1, u2 = draw(seed, num_frames, 4)
    guidance = Guidance(scale=scale_type(min_scale=min_scale, max_scale=max_scale))
    together = guide(guidance, 2 * c1 + c2, 2 * u1 + u2)
    apart = 2 * guide(guidance, c1, u1) + guide(guidance, c2, u2)
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)


@given(scale_values, frame_counts, st.integers(0, 2**32))
def test_branches_that_agree_are_left_alone(scale, num_frames, seed):
    (both,) = draw(seed, num_frames, 1)
    assert torch.equal(guide(Guidance(scale=Constant(scale=scale)), both, both), both)


@given(st.floats(0.01, 10.0), st.floats(1.01, 100.0), sigmas, st.integers(0, 2**32))
def test_the_interval_is_open_below_and_closed_above(lo, ratio, sigma, seed):
    conditional, unconditional = draw(seed, 3, 2)
    interval = Interval(lo=lo, hi=lo * ratio)
    guidance = Guidance(scale=Constant(scale=3.0), interval=interval)
    inside = interval.lo < sigma <= interval.hi
    expected = 3 * conditional - 2 * unconditional if inside else conditional
    torch.testing.assert_close(guide(guidance, conditional, unconditional, sigma=sigma), expected)
    ends = torch.tensor([interval.lo, interval.hi], dtype=torch.float64)
    assert scales_at(guidance, ends, 1).flatten().tolist() == [1.0, 3.0]


@given(range_types, scale_values, scale_values, frame_counts)
def test_scales_stay_between_their_ends(scale_type, min_scale, max_scale, num_frames):
    scales = frame_scales(scale_type(min_scale=min_scale, max_scale=max_scale), num_frames)
    assert len(scales) == num_frames
    assert scales.min() >= min(min_scale, max_scale) - 1e-5
    assert scales.max() <= max(min_scale, max_scale) + 1e-5


@given(st.sampled_from([Triangle, Trapezoid]), scale_values, scale_values, frame_counts)
def test_triangle_and_trapezoid_are_symmetric(scale_type, min_scale, max_scale, num_frames):
    scales = frame_scales(scale_type(min_scale=min_scale, max_scale=max_scale), num_frames)
    torch.testing.assert_close(scales, scales.flip(0), atol=1e-5, rtol=1e-5)
