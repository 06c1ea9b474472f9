import pytest
import torch
from tiny_networks import AUTOENCODER, numbers, randomise, relative_error

from videoldm.core.errors import InputError
from videoldm.core.random import generator
from videoldm.models.autoencoder.config import TemporalDecoder
from videoldm.models.autoencoder.network import Autoencoder, Posterior

TEMPORAL = AUTOENCODER.model_copy(update={"decoder": TemporalDecoder()})


@pytest.fixture(scope="module")
def plain():
    return randomise(Autoencoder(AUTOENCODER))


@pytest.fixture(scope="module")
def temporal():
    return randomise(Autoencoder(TEMPORAL))


@pytest.mark.parametrize(("num_frames", "height", "width"), [(1, 8, 8), (3, 4, 12), (2, 20, 16)])
@torch.no_grad()
def test_sizes(plain, temporal, num_frames, height, width):
    pixels = numbers(2, num_frames, 3, height, width)
    for autoencoder in (plain, temporal):
        posterior = autoencoder.encode(pixels)
        assert posterior.mode().shape == posterior.log_variance.shape == (2, num_frames, 3, height // 4, width // 4)
        assert autoencoder.decode(posterior.mode()).shape == pixels.shape
        assert autoencoder(pixels).shape == pixels.shape


@pytest.mark.parametrize(("height", "width"), [(7, 8), (8, 6), (0, 8)])
def test_sides_that_do_not_divide_are_refused(plain, height, width):
    with pytest.raises(InputError, match=f"a picture of {width}x{height} pixels: sides must be multiples of 4"):
        plain.encode(torch.zeros(1, 1, 3, height, width))


@torch.no_grad()
def test_frames_are_encoded_on_their_own(temporal):
    pixels = numbers(1, 3, 3, 8, 8)
    alone = [temporal.encode(pixels[:, i : i + 1]).mode() for i in range(3)]
    assert relative_error(temporal.encode(pixels).mode(), torch.cat(alone, dim=1)) < 1e-5


@torch.no_grad()
def test_plain_decoder_decodes_frames_on_their_own(plain):
    latents = numbers(1, 3, 3, 2, 2)
    alone = [plain.decode(latents[:, i : i + 1]) for i in range(3)]
    assert relative_error(plain.decode(latents), torch.cat(alone, dim=1)) < 1e-5


@torch.no_grad()
def test_temporal_decoder_decodes_clips_on_their_own(temporal):
    latents = numbers(2, 3, 3, 2, 2)
    together = temporal.decode(latents)
    alone = torch.cat([temporal.decode(latents[i : i + 1]) for i in range(2)])
    frames = torch.cat([temporal.decode(latents[:, i : i + 1]) for i in range(3)], dim=1)
    assert relative_error(together, alone) < 1e-5
    assert relative_error(together, frames) > 1e-2


@torch.no_grad()
def test_a_fresh_temporal_decoder_does_what_the_plain_one_does(plain):
    fresh = Autoencoder(TEMPORAL)
    loaded = fresh.load_state_dict(plain.state_dict(), strict=False)
    assert not loaded.unexpected_keys
    latents = numbers(1, 3, 3, 2, 2)
    assert relative_error(fresh.decode(latents), plain.decode(latents)) < 1e-5


def test_every_parameter_gets_a_gradient(temporal):
    temporal.zero_grad()
    posterior = temporal.encode(numbers(1, 2, 3, 8, 8))
    pixels = temporal.decode(posterior.draw(torch.randn(posterior.mean.shape, generator=generator(0, "latents"))))
    (pixels.square().mean() + posterior.kl().mean()).backward()
    assert all(parameter.grad.isfinite().all() for parameter in temporal.parameters())
    assert all(parameter.grad.any() for name, parameter in temporal.named_parameters() if "to_k.bias" not in name)


def test_posterior_samples_have_its_moments():
    mean, log_variance = torch.full((1, 1, 1, 200, 200), 3.0), torch.full((1, 1, 1, 200, 200), -1.4)
    posterior = Posterior(mean, log_variance)
    noise = torch.randn(mean.shape, generator=generator(3, "latents"))
    sample = posterior.draw(noise)
    assert sample.mean().item() == pytest.approx(3, abs=0.02)
    assert sample.var().log().item() == pytest.approx(-1.4, abs=0.04)
    assert torch.equal(posterior.draw(torch.zeros_like(noise)), mean)
    assert posterior.mode() is mean


def test_posterior_divergence_is_that_of_normal_distributions():
    mean, log_variance = numbers(1, 2, 3, 4, 4), numbers(1, 2, 3, 4, 4, stream="variance")
    ours = Posterior(mean, log_variance).kl()
    given = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    standard = torch.distributions.Normal(torch.zeros(()), torch.ones(()))
    assert torch.allclose(ours, torch.distributions.kl_divergence(given, standard), atol=1e-5)


def test_log_variance_stays_in_range():
    moments = torch.tensor([1.0, 99.0, -99.0]).repeat_interleave(2).view(1, 3, 2, 1, 1)
    posterior = Posterior.from_moments(moments)
    assert posterior.log_variance.flatten().tolist() == [1, 20, -30]
