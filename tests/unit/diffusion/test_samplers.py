from dataclasses import dataclass

import pytest
import torch

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import (
    DDIM,
    DPMPP2M,
    DPMPPSDE,
    Churn,
    Euler,
    EulerAncestral,
    Heun,
    Karras,
    SDDiscrete,
)
from videoldm.diffusion.noise import SeededNoise, start_noise
from videoldm.diffusion.samplers.sample import sample
from videoldm.diffusion.schedules import schedule_sigmas

CHURN = Churn(s_churn=4.0, s_tmin=0.05, s_tmax=50.0, s_noise=1.003)
SAMPLERS = [
    Euler(),
    Euler(churn=CHURN),
    Heun(),
    Heun(churn=CHURN),
    DPMPP2M(),
    DPMPPSDE(),
    DDIM(),
    EulerAncestral(),
    EulerAncestral(eta=0.3),
]
SHAPE = (3, 4, 6, 5)
each_sampler = pytest.mark.parametrize("sampler", SAMPLERS, ids=str)


@dataclass
class Toy:
    """A smooth nonlinear denoiser in which frames and pixels of one clip see each other."""

    calls: int = 0

    def __call__(self, x, sigma, conditioning):
        self.calls += 1
        scaled = x / (1 + sigma**2).sqrt().view(-1, 1, 1, 1, 1)
        mixed = scaled + 0.1 * scaled.roll(1, dims=1) + 0.1 * scaled.mean(dim=(1, 3, 4), keepdim=True)
        return (mixed + conditioning.context.mean(dim=(1, 2)).view(-1, 1, 1, 1, 1)).tanh()


def generate(sampler, seeds, *, sigmas, on_step=lambda step: None):
    conditioning = Conditioning(context=torch.stack([torch.full((1, 8), 0.01 * seed) for seed in seeds]))
    samples = [(seed,) for seed in seeds]
    x = start_noise(samples, SHAPE, sigmas[0].item())
    return sample(sampler, Toy(), x, sigmas, conditioning, noise=SeededNoise(samples), on_step=on_step)


@each_sampler
def test_a_batch_equals_single_runs(sampler):
    sigmas = schedule_sigmas(Karras(), 8)
    batch = generate(sampler, [7, 3, 3, 11], sigmas=sigmas)
    for row, seed in enumerate([7, 3, 3, 11]):
        torch.testing.assert_close(batch[row : row + 1], generate(sampler, [seed], sigmas=sigmas), atol=1e-5, rtol=0)
    assert not torch.equal(batch[0], batch[1])


@each_sampler
def test_every_step_is_reported_once(sampler):
    sigmas = schedule_sigmas(Karras(), 6)
    steps = []
    result = generate(sampler, [1], sigmas=sigmas, on_step=steps.append)
    assert [step.index for step in steps] == list(range(6))
    assert torch.all(torch.tensor([step.sigma for step in steps]) >= sigmas[:-1])
    last = steps[-1]
    torch.testing.assert_close(result, last.denoised, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        last.denoised, Toy()(last.x, torch.tensor([last.sigma]), Conditioning(context=torch.full((1, 1, 8), 0.01)))
    )


@each_sampler
def test_raising_in_on_step_stops_the_sampler(sampler):
    class CancelledError(Exception):
        pass

    seen = []

    def cancel_after_two(step):
        seen.append(step.index)
        if step.index == 1:
            raise CancelledError

    with pytest.raises(CancelledError):
        generate(sampler, [1], sigmas=schedule_sigmas(Karras(), 6), on_step=cancel_after_two)
    assert seen == [0, 1]


@each_sampler
def test_one_step_returns_what_is_denoised_first(sampler):
    sigmas = schedule_sigmas(Karras(), 1)
    steps = []
    result = generate(sampler, [5], sigmas=sigmas, on_step=steps.append)
    torch.testing.assert_close(result, steps[0].denoised, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("sampler", "calls"), [(Euler(), 6), (Heun(), 11), (DPMPP2M(), 6), (DPMPPSDE(), 11), (DDIM(), 6)], ids=str
)
def test_network_calls_of_six_steps(sampler, calls):
    toy = Toy()
    sigmas = schedule_sigmas(Karras(), 6)
    conditioning = Conditioning(context=torch.zeros(1, 1, 8))
    sample(sampler, toy, start_noise([(0,)], SHAPE, 700.0), sigmas, conditioning, noise=SeededNoise([(0,)]))
    assert toy.calls == calls


def test_ddim_is_euler():
    sigmas = schedule_sigmas(SDDiscrete(), 20)
    torch.testing.assert_close(
        generate(DDIM(), [1, 2], sigmas=sigmas), generate(Euler(), [1, 2], sigmas=sigmas), atol=1e-5, rtol=0
    )


def test_ancestral_without_noise_is_euler():
    sigmas = schedule_sigmas(Karras(), 8)
    assert torch.equal(generate(EulerAncestral(eta=0.0), [1], sigmas=sigmas), generate(Euler(), [1], sigmas=sigmas))


def test_churn_acts_inside_its_levels_only():
    sigmas = schedule_sigmas(Karras(), 8)
    outside = Churn(s_churn=4.0, s_tmin=1000.0, s_tmax=2000.0)
    assert torch.equal(generate(Euler(churn=outside), [1], sigmas=sigmas), generate(Euler(), [1], sigmas=sigmas))
    steps = []
    generate(Euler(churn=CHURN), [1], sigmas=sigmas, on_step=steps.append)
    raised = torch.tensor([step.sigma for step in steps]) / sigmas[:-1]
    inside = (sigmas[:-1] >= 0.05) & (sigmas[:-1] <= 50)
    expected = torch.where(inside, torch.tensor(2**0.5), torch.tensor(1.0))
    torch.testing.assert_close(raised, expected)


def test_churn_adds_the_variance_between_its_two_levels():
    """From one level to the churned one, x of zero data should go on looking like noise of that level."""
    sigmas = torch.tensor([2.0, 0.0])
    steps = []
    x = 2.0 * torch.randn(1, 4, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    churn = Churn(s_churn=0.3, s_tmin=0.0, s_tmax=10.0, s_noise=1.0)
    conditioning = Conditioning()
    sample(
        Euler(churn=churn),
        lambda x, sigma, conditioning: 0 * x,
        x,
        sigmas,
        conditioning,
        noise=SeededNoise([(1,)]),
        on_step=steps.append,
    )
    assert steps[0].sigma == pytest.approx(2.6)
    assert abs(steps[0].x.std() / 2.6 - 1) < 0.01


@pytest.mark.parametrize("levels", [[1.0, 2.0, 0.0], [1.0, 1.0, 0.0], [1.0, 0.5, -0.1]])
def test_levels_that_do_not_fall_are_refused(levels):
    with pytest.raises(ValueError, match="should fall from step to step"):
        generate(Euler(), [1], sigmas=torch.tensor(levels))


def test_latents_keep_their_dtype_while_sigma_stays_precise():
    dtypes = []

    def denoise(x, sigma, conditioning):
        dtypes.append((x.dtype, sigma.dtype))
        return 0.5 * x

    x = torch.ones(1, 2, 4, 3, 3, dtype=torch.bfloat16)
    result = sample(Heun(), denoise, x, schedule_sigmas(Karras(), 3), Conditioning(), noise=SeededNoise([(0,)]))
    assert result.dtype == torch.bfloat16
    assert set(dtypes) == {(torch.bfloat16, torch.float32)}
