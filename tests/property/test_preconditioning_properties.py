import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import (
    EDM,
    DiscreteEps,
    DiscreteV,
    EDMWeighting,
    EpsWeighting,
    VPrediction,
    VWeighting,
)
from videoldm.diffusion.denoiser import Preconditioned, network_target, scalings
from videoldm.diffusion.loss import denoising_loss, loss_weight

sigmas = st.lists(st.floats(0.002, 700.0), min_size=2, max_size=2).map(lambda s: torch.tensor(s, dtype=torch.float64))
sigma_datas = st.floats(0.1, 2.0)
preconditionings = st.one_of(
    st.just(VPrediction()), st.just(DiscreteEps()), st.just(DiscreteV()), st.builds(EDM, sigma_data=sigma_datas)
)
seeds = st.integers(0, 2**32)


def draw(seed, count):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 3, 4, 2, 2, generator=generator, dtype=torch.float64) for _ in range(count)]


def per_clip(sigma):
    return sigma.view(2, 1, 1, 1, 1)


def answering(output):
    return lambda x, c_noise, conditioning: output


@given(sigmas, sigma_datas)
def test_the_papers_weights_leave_the_network_output_unweighted(sigma, sigma_data):
    """c_out^2 lambda = 1."""
    pairs = [
        (VPrediction(), VWeighting()),
        (DiscreteV(), VWeighting()),
        (DiscreteEps(), EpsWeighting()),
        (EDM(sigma_data=sigma_data), EDMWeighting(sigma_data=sigma_data)),
    ]
    for preconditioning, weighting in pairs:
        product = scalings(preconditioning, sigma).c_out ** 2 * loss_weight(weighting, sigma)
        torch.testing.assert_close(product, torch.ones_like(product))


@given(sigmas, sigma_datas)
def test_input_and_target_have_unit_variance(sigma, sigma_data):
    """EDM's two requirements, for independent data of deviation sigma_data."""
    for preconditioning, deviation in ((VPrediction(), 1.0), (EDM(sigma_data=sigma_data), sigma_data)):
        c = scalings(preconditioning, sigma)
        variance_in = c.c_in**2 * (deviation**2 + sigma**2)
        variance_target = ((1 - c.c_skip) ** 2 * deviation**2 + c.c_skip**2 * sigma**2) / c.c_out**2
        torch.testing.assert_close(variance_in, torch.ones_like(sigma))
        torch.testing.assert_close(variance_target, torch.ones_like(sigma))


@given(sigmas)
def test_v_is_edm_for_unit_data_with_the_sign_of_the_output_flipped(sigma):
    ours, edm = scalings(VPrediction(), sigma), scalings(EDM(sigma_data=1.0), sigma)
    torch.testing.assert_close(ours.c_skip, edm.c_skip)
    torch.testing.assert_close(ours.c_out, -edm.c_out)
    torch.testing.assert_close(ours.c_in, edm.c_in)
    torch.testing.assert_close(ours.c_noise, edm.c_noise)


@given(preconditionings, sigmas, seeds)
def test_the_perfect_network_gives_x0_and_no_loss(preconditioning, sigma, seed):
    x0, noise = draw(seed, 2)
    x = x0 + per_clip(sigma) * noise
    denoise = Preconditioned(answering(network_target(preconditioning, x, x0, sigma)), preconditioning)
    torch.testing.assert_close(denoise(x, sigma, Conditioning()), x0)
    loss = denoising_loss(denoise, x0, sigma, noise, Conditioning(), weighting=VWeighting())
    assert loss.tolist() == pytest.approx([0, 0], abs=1e-15)


@given(preconditionings, sigmas, seeds)
def test_output_and_x0_are_two_names_of_one_thing(preconditioning, sigma, seed):
    x, output = draw(seed, 2)
    x0 = Preconditioned(answering(output), preconditioning)(x, sigma, Conditioning())
    torch.testing.assert_close(network_target(preconditioning, x, x0, sigma), output, atol=1e-6, rtol=1e-6)


@given(sigmas, seeds)
def test_v_to_x0_to_eps_and_back(sigma, seed):
    x, v = draw(seed, 2)
    s = per_clip(sigma)
    x0 = Preconditioned(answering(v), VPrediction())(x, sigma, Conditioning())
    eps = network_target(DiscreteEps(), x, x0, sigma)
    torch.testing.assert_close(x0 + s * eps, x)
    torch.testing.assert_close((eps - s * x0) / (1 + s**2).sqrt(), v, atol=1e-6, rtol=1e-6)
    again = Preconditioned(answering(eps), DiscreteEps())(x, sigma, Conditioning())
    torch.testing.assert_close(again, x0, atol=1e-9, rtol=1e-9)
