import math

import pytest
import torch

from videoldm.core.random import generator
from videoldm.diffusion.config import CONDITION_AUGMENTATION, SVD_NOISE_LEVELS, DiscreteUniform, LogNormal
from videoldm.diffusion.noise import SeededNoise, draw_sigmas, start_noise
from videoldm.diffusion.schedules import discrete_sigmas

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


def draw(noise_levels, num_clips):
    return draw_sigmas(noise_levels, [generator(0, "sigma", i) for i in range(num_clips)])


@pytest.mark.parametrize(
    ("noise_levels", "median", "low", "high"),
    [
        (SVD_NOISE_LEVELS["video_256x384"], 0.30, 0.11, 0.82),
        (SVD_NOISE_LEVELS["video_320x576"], 1.0, 0.37, 2.7),
        (SVD_NOISE_LEVELS["text_to_video_576x1024"], 1.65, 0.41, 6.7),
        (SVD_NOISE_LEVELS["image_to_video_320x576"], 2.0, 0.41, 10.0),
        (SVD_NOISE_LEVELS["image_to_video_576x1024"], 2.7, 0.55, 13.5),
        (SVD_NOISE_LEVELS["interpolation_576x1024"], 2.7, 0.82, 9.0),
        (CONDITION_AUGMENTATION, 0.050, 0.030, 0.082),
    ],
)
def test_stages_have_the_published_median_and_spread(noise_levels, median, low, high):
    assert math.isclose(math.exp(noise_levels.p_mean), median, rel_tol=0.02)
    assert math.isclose(math.exp(noise_levels.p_mean - noise_levels.p_std), low, rel_tol=0.02)
    assert math.isclose(math.exp(noise_levels.p_mean + noise_levels.p_std), high, rel_tol=0.02)


def test_log_normal_draws_have_its_moments():
    logs = draw(LogNormal(p_mean=0.7, p_std=1.6), 4000).log()
    assert abs(logs.mean() - 0.7) < 4 * 1.6 / 4000**0.5
    assert abs(logs.std() - 1.6) < 4 * 1.6 / 8000**0.5


def test_discrete_draws_are_levels_and_reach_both_ends():
    sigmas = draw(DiscreteUniform(), 4000)
    levels = discrete_sigmas().float()
    assert torch.isin(sigmas, levels).all()
    assert sigmas.min() < levels[10]
    assert sigmas.max() > levels[-10]
    assert abs((sigmas < levels[500]).float().mean() - 0.5) < 0.04


def test_a_clip_draws_the_same_level_in_any_batch():
    noise_levels = LogNormal(p_mean=0.0, p_std=1.0)
    assert torch.equal(draw(noise_levels, 5)[3:4], draw_sigmas(noise_levels, [generator(0, "sigma", 3)]))
