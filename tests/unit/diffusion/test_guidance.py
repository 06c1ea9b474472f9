import pytest
import torch

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import Constant, Guidance, Interval, LinearOverFrames, Trapezoid, Triangle
from videoldm.diffusion.guidance import (
    Guided,
    drop_frames,
    drop_image,
    frame_scales,
    use_context,
)

TWICE = Guidance(scale=Constant(scale=2.0))


class Recorder:
    """A denoiser that mixes all conditions into its answer and counts its calls."""

    def __init__(self):
        self.batches = []

    def __call__(self, x, sigma, conditioning):
        self.batches.append(len(x))
        context = conditioning.context.mean(dim=(1, 2)).view(-1, 1, 1, 1, 1)
        vector = conditioning.vector.mean(dim=2)[:, :, None, None, None]
        return x / (1 + sigma.view(-1, 1, 1, 1, 1)) + context + vector + conditioning.concat


def random_inputs(batch=2, num_frames=5):
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    conditioning = Conditioning(
        context=draw(batch, 3, 8), vector=draw(batch, num_frames, 6), concat=draw(batch, num_frames, 4, 2, 2)
    )
    return draw(batch, num_frames, 4, 2, 2), torch.linspace(0.5, 3, batch), conditioning


def test_scales_of_svd_and_svd_xt():
    svd = frame_scales(LinearOverFrames(min_scale=1.0, max_scale=2.5), 14)
    torch.testing.assert_close(svd[:3], torch.tensor([1.0, 1.1154, 1.2308]), atol=5e-5, rtol=0)
    assert svd[-1] == 2.5
    xt = frame_scales(LinearOverFrames(min_scale=1.5, max_scale=3.0), 25)
    torch.testing.assert_close(xt, 1.5 + 1.5 / 24 * torch.arange(25))


def test_triangle_of_sv3d():
    scales = frame_scales(Triangle(min_scale=1.0, max_scale=2.5), 21)
    torch.testing.assert_close(scales[:11], 1.0 + 0.15 * torch.arange(11))
    torch.testing.assert_close(scales, scales.flip(0))


def test_trapezoid_stays_at_its_maximum_between_the_edges():
    scales = frame_scales(Trapezoid(min_scale=1.0, max_scale=4.0), 40)
    torch.testing.assert_close(scales[:4], torch.tensor([1.0, 2.0, 3.0, 4.0]))
    assert torch.all(scales[4:36] == 4.0)
    torch.testing.assert_close(scales, scales.flip(0))


@pytest.mark.parametrize(
    "scale", [Constant(scale=3.0), LinearOverFrames(max_scale=3.0), Triangle(max_scale=3.0), Trapezoid(max_scale=3.0)]
)
@pytest.mark.parametrize("num_frames", [1, 2, 7, 28])
def test_every_clip_length_has_its_scales(scale, num_frames):
    scales = frame_scales(scale, num_frames)
    assert len(scales) == num_frames
    assert torch.all((scales >= 1) & (scales <= 3))


def test_guidance_of_each_frame_has_its_own_scale():
    x, sigma, conditioning = random_inputs()
    denoise = Recorder()
    guided = Guided(denoise, Guidance(scale=LinearOverFrames(min_scale=1.0, max_scale=3.0)))
    without, given = denoise(x, sigma, drop_image(conditioning)), denoise(x, sigma, conditioning)
    result = guided(x, sigma, conditioning)
    for frame, scale in enumerate([1.0, 1.5, 2.0, 2.5, 3.0]):
        expected = scale * given[:, frame] - (scale - 1) * without[:, frame]
        torch.testing.assert_close(result[:, frame], expected)


def test_the_branches_are_evaluated_one_after_the_other():
    x, sigma, conditioning = random_inputs()
    denoise = Recorder()
    Guided(denoise, TWICE)(x, sigma, conditioning)
    assert denoise.batches == [2, 2]


def test_scale_1_calls_the_network_once_on_the_plain_batch():
    x, sigma, conditioning = random_inputs()
    denoise = Recorder()
    result = Guided(denoise, Guidance(scale=LinearOverFrames(min_scale=1.0, max_scale=1.0)))(x, sigma, conditioning)
    assert denoise.batches == [2]
    assert torch.equal(result, denoise(x, sigma, conditioning))


def test_outside_its_interval_guidance_costs_nothing():
    x, _, conditioning = random_inputs()
    denoise = Recorder()
    guided = Guided(denoise, Guidance(scale=Constant(scale=2.0), interval=Interval(lo=1.0, hi=5.0)))
    for sigma in (0.5, 1.0, 2.0, 5.0, 6.0):
        guided(x, torch.full((2,), sigma), conditioning)
    assert denoise.batches == [2, 2, 2, 2, 2, 2, 2]


def test_clips_inside_and_outside_the_interval_can_share_a_batch():
    x, _, conditioning = random_inputs()
    denoise = Recorder()
    sigma = torch.tensor([0.5, 2.0])
    guided = Guided(denoise, Guidance(scale=Constant(scale=2.0), interval=Interval(lo=1.0, hi=5.0)))
    result = guided(x, sigma, conditioning)
    torch.testing.assert_close(result[0], denoise(x, sigma, conditioning)[0])
    torch.testing.assert_close(result[1], Guided(denoise, TWICE)(x, sigma, conditioning)[1])


def test_svd_drops_image_and_latents_and_keeps_the_vector():
    _, _, conditioning = random_inputs()
    dropped = drop_image(conditioning)
    assert not dropped.context.any()
    assert not dropped.concat.any()
    assert dropped.vector is conditioning.vector


def test_context_guidance_drops_the_given_frames_and_keeps_the_text():
    _, _, conditioning = random_inputs()
    dropped = drop_frames(conditioning.replace(frame_mask=torch.ones(2, 5)))
    assert not dropped.concat.any()
    assert not dropped.frame_mask.any()
    assert dropped.context is conditioning.context


def test_text_guidance_puts_the_empty_prompt_in_both_attentions():
    _, _, conditioning = random_inputs()
    empty = torch.ones(1, 3, 8)
    dropped = use_context(empty)(conditioning.replace(temporal_context=torch.zeros(2, 3, 8)))
    assert torch.equal(dropped.context, empty.expand(2, 3, 8))
    assert dropped.temporal_tokens is dropped.context
    assert dropped.concat is conditioning.concat
    with pytest.raises(ValueError, match="no context to replace"):
        use_context(empty)(Conditioning())


def test_wrappers_nest_one_condition_each():
    x, sigma, conditioning = random_inputs()
    conditioning = conditioning.replace(frame_mask=torch.ones(2, 5))
    denoise, empty = Recorder(), torch.zeros(1, 3, 8)
    text = Guided(denoise, TWICE, drop=use_context(empty))
    both = Guided(text, Guidance(scale=Constant(scale=3.0)), drop=drop_frames)
    bare = conditioning.replace(context=empty.expand(2, 3, 8), concat=torch.zeros_like(conditioning.concat))
    base = denoise(x, sigma, bare)
    of_text = denoise(x, sigma, bare.replace(context=conditioning.context)) - base
    of_frames = denoise(x, sigma, bare.replace(concat=conditioning.concat)) - base
    torch.testing.assert_close(both(x, sigma, conditioning), base + 2 * of_text + 3 * of_frames)
