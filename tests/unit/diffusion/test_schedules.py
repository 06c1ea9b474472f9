import pytest
import torch

from videoldm.core.errors import InputError
from videoldm.diffusion.config import AlignYourSteps, Exponential, Karras, SDDiscrete
from videoldm.diffusion.schedules import AYS_SIGMAS, discrete_sigmas, nearest_index, schedule_sigmas

SVD_25_STEPS = [
    *(
        700,
        545.729,
        421.569,
        322.454,
        244.023,
        182.547,
        134.854,
        98.267,
        70.541,
        49.810,
        34.537,
        23.468,
        15.590,
        10.097,
    ),
    *(6.3543, 3.8697, 2.2691, 1.2732, 0.6781, 0.3394, 0.1574, 0.0664, 0.0248, 0.0079, 0.002, 0),
]


def test_karras_gives_the_levels_of_svd():
    sigmas = schedule_sigmas(Karras(), 25)
    for sigma, printed in zip(sigmas.tolist(), SVD_25_STEPS, strict=True):
        digits = len(f"{printed}".partition(".")[2])
        assert abs(sigma - printed) <= 0.51 * 10 ** -max(digits, 3 if printed > 9 else 4)


def test_karras_gives_the_levels_of_svd_xt():
    sigmas = schedule_sigmas(Karras(), 30).tolist()
    assert sigmas[:5] == pytest.approx([700, 570.027, 461.313, 370.878, 296.086], abs=5e-4)
    assert sigmas[-5:] == pytest.approx([0.0406, 0.0171, 0.0063, 0.002, 0], abs=5e-5)


def test_exponential_steps_have_one_ratio():
    sigmas = schedule_sigmas(Exponential(sigma_min=0.01, sigma_max=100.0), 5)
    torch.testing.assert_close(sigmas, torch.tensor([100, 10, 1, 0.1, 0.01, 0]))


def test_align_your_steps_is_as_published_at_ten_steps():
    torch.testing.assert_close(schedule_sigmas(AlignYourSteps(), 10), torch.tensor([*AYS_SIGMAS, 0.0]))


def test_align_your_steps_interpolates_in_the_log():
    sigmas = schedule_sigmas(AlignYourSteps(), 19)
    torch.testing.assert_close(sigmas[:-1:2], torch.tensor(AYS_SIGMAS))
    torch.testing.assert_close(sigmas[1], torch.tensor((700.0 * 54.5) ** 0.5))


@pytest.mark.parametrize(
    ("spacing", "indices"),
    [
        ("leading", [751, 501, 251, 1]),
        ("trailing", [999, 749, 499, 249]),
        ("linspace", [999, 666, 333, 0]),
    ],
)
def test_discrete_spacings(spacing, indices):
    expected = torch.cat([discrete_sigmas()[indices], torch.zeros(1)]).float()
    assert torch.equal(schedule_sigmas(SDDiscrete(spacing=spacing), 4), expected)


@pytest.mark.parametrize("schedule", [Karras(), Exponential(), SDDiscrete(spacing="trailing"), AlignYourSteps()])
def test_one_step_starts_at_the_top(schedule):
    first, last = schedule_sigmas(schedule, 1).tolist()
    assert first == pytest.approx(14.6146 if schedule.kind == "sd_discrete" else 700, rel=1e-5)
    assert last == 0


def test_one_leading_step_starts_at_the_bottom():
    assert float(schedule_sigmas(SDDiscrete(spacing="leading"), 1)[0]) == pytest.approx(float(discrete_sigmas()[1]))


@pytest.mark.parametrize(("schedule", "num_steps"), [(Karras(), 0), (AlignYourSteps(), -3), (SDDiscrete(), 1000)])
def test_a_number_of_steps_out_of_range_is_named(schedule, num_steps):
    with pytest.raises(InputError, match=f"steps: {num_steps} is too"):
        schedule_sigmas(schedule, num_steps)


def test_the_lowest_level_can_be_the_last():
    sigmas = schedule_sigmas(SDDiscrete(last_level="lowest"), 4)
    torch.testing.assert_close(sigmas, discrete_sigmas()[[751, 501, 251, 1, 0]].float())


def test_a_step_from_the_last_level_to_itself_is_left_out():
    sigmas = schedule_sigmas(SDDiscrete(spacing="linspace", last_level="lowest"), 4)
    torch.testing.assert_close(sigmas, discrete_sigmas()[[999, 666, 333, 0]].float())


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
