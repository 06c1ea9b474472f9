import pytest
import torch

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import DiscreteEps, DiscreteV, VPrediction
from videoldm.diffusion.denoiser import Preconditioned, network_target, scalings
from videoldm.diffusion.schedules import discrete_sigmas


def test_svd_tells_the_network_a_quarter_of_the_log():
    c_noise = scalings(VPrediction(), torch.tensor([700.0, 0.002])).c_noise
    torch.testing.assert_close(c_noise, torch.tensor([1.63777, -1.55365]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("preconditioning", [DiscreteEps(), DiscreteV()])
def test_image_models_are_told_the_index_of_the_level(preconditioning):
    sigma = discrete_sigmas()[[0, 37, 999]].float()
    assert scalings(preconditioning, sigma).c_noise.tolist() == [0.0, 37.0, 999.0]


def test_targets_are_eps_and_v():
    generator = torch.Generator().manual_seed(0)
    x0, noise = (torch.randn(2, 3, 4, 5, 6, generator=generator, dtype=torch.float64) for _ in range(2))
    sigma = torch.tensor([0.3, 20.0], dtype=torch.float64)
    s = sigma.view(2, 1, 1, 1, 1)
    x = x0 + s * noise
    v = (noise - s * x0) / (1 + s**2).sqrt()
    torch.testing.assert_close(network_target(DiscreteEps(), x, x0, sigma), noise)
    torch.testing.assert_close(network_target(VPrediction(), x, x0, sigma), v)
    torch.testing.assert_close(network_target(DiscreteV(), x, x0, sigma), v)


def test_the_network_sees_scaled_latents_and_the_conditioning_as_it_is():
    seen = {}

    def network(x, c_noise, conditioning):
        seen.update(x=x, c_noise=c_noise, conditioning=conditioning)
        return torch.zeros_like(x)

    x = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([1.0, 7.0])
    conditioning = Conditioning(context=torch.ones(2, 1, 8))
    denoised = Preconditioned(network, VPrediction())(x, sigma, conditioning)
    torch.testing.assert_close(seen["x"][0], x[0] / 2**0.5)
    torch.testing.assert_close(seen["x"][1], x[1] / 50**0.5)
    torch.testing.assert_close(seen["c_noise"], sigma.log() / 4)
    assert seen["conditioning"] is conditioning
    torch.testing.assert_close(denoised, torch.stack([x[0] / 2, x[1] / 50]))
