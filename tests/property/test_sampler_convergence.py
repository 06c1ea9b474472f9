"""Samplers against data that is Gaussian, N(MEAN, DEVIATION^2), for which all is known in closed form."""

import math

import pytest
import torch

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import DDIM, DPMPP2M, DPMPPSDE, Churn, Euler, EulerAncestral, Heun, Karras
from videoldm.diffusion.samplers.sample import sample
from videoldm.diffusion.schedules import schedule_sigmas

MEAN, DEVIATION = 0.7, 0.5
SIGMA_MIN, SIGMA_MAX = 1e-4, 20.0
START = 2.0


def denoise(x, sigma, conditioning):
    """The exact D(x; sigma), the posterior mean."""
    s = sigma.view(-1, 1, 1, 1, 1)
    return (DEVIATION**2 * x + s**2 * MEAN) / (DEVIATION**2 + s**2)


def levels(num_steps):
    return schedule_sigmas(Karras(sigma_min=SIGMA_MIN, sigma_max=SIGMA_MAX), num_steps).double()


def run(sampler, num_steps, x, noise=torch.zeros_like):
    return sample(sampler, denoise, x, levels(num_steps), Conditioning(), noise=noise).flatten()


def clips(values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1, 1)


def ode_error(sampler, num_steps):
    """The distance to the solution of the probability-flow ODE, which squeezes all deviations alike."""
    exact = MEAN + (START - MEAN) * DEVIATION / math.hypot(DEVIATION, SIGMA_MAX)
    return abs(run(sampler, num_steps, clips([START])).item() - exact)


class OneDrawEach:
    """Noise that is 1 for clip k in draw k and 0 otherwise: the clips show what each draw contributes."""

    def __init__(self):
        self.num_draws = 0

    def __call__(self, like):
        noise = torch.zeros_like(like)
        noise[self.num_draws] = 1
        self.num_draws += 1
        return noise


def final_moments(sampler, num_steps):
    """Mean and deviation of the samples, exactly: for Gaussian data they are linear in the start and all draws."""
    most_draws = 2 * num_steps
    start_deviation = math.hypot(DEVIATION, SIGMA_MAX)
    x = clips([MEAN] * most_draws + [MEAN + start_deviation, MEAN])
    *drawn, started, mean = run(sampler, num_steps, x, OneDrawEach()).tolist()
    return mean, math.hypot(started - mean, *(value - mean for value in drawn))


def order(errors):
    """The power p of error ~ steps^-p from the last doubling of the number of steps."""
    return math.log2(errors[-2] / errors[-1])


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [(Euler(), 1), (DDIM(), 1), (EulerAncestral(eta=0.0), 1), (Heun(), 2), (DPMPP2M(), 2)],
    ids=str,
)
def test_order_on_the_probability_flow_ode(sampler, expected):
    errors = [ode_error(sampler, num_steps) for num_steps in (40, 80, 160)]
    assert order(errors) == pytest.approx(expected, abs=0.15)
    assert errors[-1] < (5e-3 if expected == 1 else 2e-4)


@pytest.mark.parametrize(("sampler", "expected"), [(EulerAncestral(), 1), (DPMPPSDE(), 2)], ids=str)
def test_order_of_the_deviation_of_stochastic_samplers(sampler, expected):
    moments = [final_moments(sampler, num_steps) for num_steps in (20, 40, 80)]
    errors = [abs(deviation - DEVIATION) for _, deviation in moments]
    assert order(errors) == pytest.approx(expected, abs=0.25)
    assert errors[-1] < (0.05 if expected == 1 else 0.005)
    assert moments[-1][0] == pytest.approx(MEAN, abs=1e-9)


@pytest.mark.parametrize("sampler", [Euler(), Heun()], ids=str)
def test_churn_keeps_the_deviation(sampler):
    churn = Churn(s_churn=20.0, s_tmin=0.05, s_tmax=10.0, s_noise=1.0)
    churned = sampler.model_copy(update={"churn": churn})
    errors = [abs(final_moments(churned, num_steps)[1] - DEVIATION) for num_steps in (80, 160, 320)]
    assert order(errors) > 0.8
    assert errors[-1] < 0.02
