import torch

from videoldm.diffusion.schedules import discrete_sigmas, nearest_index


def test_the_range_is_that_of_stable_diffusion_2_1():
    levels = discrete_sigmas()
    assert len(levels) == 1000
    assert torch.all(levels.diff() > 0)
    assert abs(levels[0] - 0.0292) < 5e-5
    assert abs(levels[-1] - 14.6146) < 5e-5


def test_each_level_is_nearest_to_itself():
    assert torch.equal(nearest_index(discrete_sigmas().float()), torch.arange(1000))


def test_levels_outside_the_range_take_its_ends():
    assert nearest_index(torch.tensor([1e-4, 700.0])).tolist() == [0, 999]


def test_a_level_between_two_takes_the_nearer_one():
    low, high = discrete_sigmas()[500:502].float()
    assert nearest_index(torch.stack([low.lerp(high, 0.4), low.lerp(high, 0.6)])).tolist() == [500, 501]
