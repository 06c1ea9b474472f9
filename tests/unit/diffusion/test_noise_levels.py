import math

import pytest
import torch

from videoldm.core.random import generator
from videoldm.diffusion.config import CONDITION_AUGMENTATION, SVD_NOISE_LEVELS, DiscreteUniform, LogNormal
from videoldm.diffusion.noise import draw_sigmas
from videoldm.diffusion.schedules import discrete_sigmas


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
