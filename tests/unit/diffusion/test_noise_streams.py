import pytest
import torch

from videoldm.diffusion.noise import SeededNoise, start_noise

SHAPE = (3, 4, 8, 8)


def test_start_noise_has_the_deviation_of_data_and_noise():
    noise = start_noise([(5,)], (16, 4, 32, 32), sigma_max=700.0)
    assert abs(noise.std() / 700.000714 - 1) < 0.02
    unit = start_noise([(5,)], (16, 4, 32, 32), sigma_max=0.0)
    torch.testing.assert_close(noise, unit * (1 + 700.0**2) ** 0.5)


def test_start_noise_of_a_sample_depends_on_its_seed_only():
    batch = start_noise([(3,), (1,), (4,)], SHAPE, sigma_max=2.0)
    for row, seed in enumerate([3, 1, 4]):
        assert torch.equal(batch[row : row + 1], start_noise([(seed,)], SHAPE, sigma_max=2.0))
    assert not torch.equal(batch[0], batch[1])


def test_sampler_noise_of_a_sample_depends_on_its_seed_only():
    like = torch.zeros(3, *SHAPE)
    batch, single = SeededNoise([(3,), (1,), (4,)]), SeededNoise([(1,)])
    first, second = batch(like), batch(like)
    assert torch.equal(first[1:2], single(like[:1]))
    assert torch.equal(second[1:2], single(like[:1]))
    assert not torch.equal(first, second)


def test_sampler_noise_is_another_stream_than_start_noise():
    assert not torch.equal(SeededNoise([(7,)])(torch.zeros(1, *SHAPE)), start_noise([(7,)], SHAPE, sigma_max=0.0))


def test_sampler_noise_takes_the_dtype_it_is_for():
    assert SeededNoise([(7,)])(torch.zeros(1, *SHAPE, dtype=torch.float64)).dtype == torch.float64


def test_sampler_noise_counts_its_samples():
    with pytest.raises(ValueError, match="2 samples requested from 3 streams"):
        SeededNoise([(1,), (2,), (3,)])(torch.zeros(2, *SHAPE))
