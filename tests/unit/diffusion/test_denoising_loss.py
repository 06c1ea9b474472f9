import pytest
import torch

from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import (
    Absolute,
    DiscreteEps,
    EDMWeighting,
    EpsWeighting,
    UnitWeighting,
    VPrediction,
    VWeighting,
)
from videoldm.diffusion.denoiser import Preconditioned, network_target
from videoldm.diffusion.loss import denoising_loss, loss_weight

SIGMA = torch.tensor([0.05, 1.0, 30.0], dtype=torch.float64)


def tensors():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 4, 2, 5, 6, generator=generator, dtype=torch.float64) for _ in range(3)]


@pytest.mark.parametrize(
    ("preconditioning", "weighting"), [(VPrediction(), VWeighting()), (DiscreteEps(), EpsWeighting())]
)
def test_the_loss_is_a_plain_mean_square_on_the_network_output(preconditioning, weighting):
    x0, noise, output = tensors()
    denoise = Preconditioned(lambda x, c_noise, conditioning: output, preconditioning)
    loss = denoising_loss(denoise, x0, SIGMA, noise, Conditioning(), weighting=weighting)
    x = x0 + SIGMA.view(3, 1, 1, 1, 1) * noise
    expected = ((output - network_target(preconditioning, x, x0, SIGMA)) ** 2).mean(dim=(1, 2, 3, 4))
    torch.testing.assert_close(loss, expected)


def test_weights_are_the_papers():
    sigma = torch.tensor([2.0])
    assert loss_weight(VWeighting(), sigma).item() == pytest.approx(5 / 4)
    assert loss_weight(EDMWeighting(sigma_data=0.5), sigma).item() == pytest.approx(4.25)
    assert loss_weight(EDMWeighting(sigma_data=1.0), sigma).item() == pytest.approx(5 / 4)
    assert loss_weight(EpsWeighting(), sigma).item() == pytest.approx(1 / 4)
    assert loss_weight(UnitWeighting(), sigma).item() == 1


def test_the_absolute_distance():
    x0, noise, _ = tensors()
    loss = denoising_loss(
        lambda x, sigma, conditioning: x0 - 0.5,
        x0,
        SIGMA,
        noise,
        Conditioning(),
        weighting=UnitWeighting(),
        distance=Absolute(),
    )
    torch.testing.assert_close(loss, torch.full((3,), 0.5, dtype=torch.float64))


def test_a_clip_s_loss_does_not_depend_on_its_batch():
    x0, noise, _ = tensors()

    def denoise(x, sigma, conditioning):
        return x.tanh()

    together = denoising_loss(denoise, x0, SIGMA, noise, Conditioning(), weighting=VWeighting())
    for row in range(3):
        rows = slice(row, row + 1)
        alone = denoising_loss(denoise, x0[rows], SIGMA[rows], noise[rows], Conditioning(), weighting=VWeighting())
        torch.testing.assert_close(together[rows], alone)
