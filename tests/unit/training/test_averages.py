"""Power-function averages: their profile, and averages of other lengths made from snapshots."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from toy_objective import ToyObjective, toy_training

from videoldm.core.errors import InputError
from videoldm.training.averages import Averages, Profile, averaged_over, combination, exponent_of
from videoldm.training.config import ClassicAverage, PowerAverage
from videoldm.training.loop import train


@pytest.mark.parametrize(("length", "exponent"), [(0.05, 16.97), (0.10, 6.94), (12**-0.5, 0)])
def test_exponents_of_lengths(length: float, exponent: float) -> None:
    """0.05 and 0.10 are those of the paper's section 3.1; the last is the standard deviation of a flat profile."""
    assert exponent_of(length) == pytest.approx(exponent, abs=0.01)


@pytest.mark.parametrize("length", [0.05, 0.1, 0.25])
def test_average_weighs_moments_by_its_profile(length: float) -> None:
    """The standard deviation of the weights, from the averages of one impulse at each step, is the length."""
    steps = 400
    module = nn.Linear(steps, 1, bias=False)
    averages = Averages(module, PowerAverage(lengths=(length,)))
    for step in range(steps):
        module.weight.data.zero_()
        module.weight.data[0, step] = 1
        averages.update()
    weights = averages.values[f"{length:g}"]["weight"][0].double().numpy()
    times = (np.arange(steps) + 0.5) / steps
    mean = (weights * times).sum()
    assert weights.sum() == pytest.approx(1)
    assert np.sqrt((weights * (times - mean) ** 2).sum()) == pytest.approx(length, rel=0.02)


@pytest.mark.parametrize("ends", [(10.0, 10.0), (3.0, 10.0), (10.0, 7.5)])
def test_overlap_is_the_integral_of_the_product(ends: tuple[float, float]) -> None:
    one, other = Profile(6.94, ends[0]), Profile(2.0, ends[1])
    times = np.linspace(0, min(ends), 200_001)
    product = [(p.exponent + 1) * times**p.exponent / p.end ** (p.exponent + 1) for p in (one, other)]
    assert one.overlap(other) == pytest.approx(np.trapezoid(product[0] * product[1], times), rel=1e-6)
    assert one.overlap(other) == pytest.approx(other.overlap(one))


def test_snapshot_of_the_length_wanted_is_taken_as_it_is() -> None:
    profiles = [Profile(exponent_of(length), end) for end in (50.0, 100.0) for length in (0.05, 0.1)]
    assert combination(profiles, profiles[3]) == pytest.approx([0, 0, 0, 1], abs=1e-9)


def test_average_of_a_length_that_was_not_kept(tmp_path: Path) -> None:
    """Made from snapshots of two lengths, it is what a run that kept it has; others are far from it."""
    changes = {"num_samples": 512, "validate_every_samples": 512, "checkpoint_every_samples": 512}
    kept = PowerAverage(lengths=(0.05, 0.1), snapshot_every_samples=16)
    train(ToyObjective(), toy_training(**changes, average=kept), tmp_path / "two")
    train(ToyObjective(), toy_training(**changes, average=PowerAverage(lengths=(0.075,))), tmp_path / "one")
    wanted = torch.load(tmp_path / "one/export/weights.pt")
    made, short, long = (averaged_over(tmp_path / "two", length) for length in (0.075, 0.05, 0.1))
    assert distance(made, wanted) < 0.02 * min(distance(short, wanted), distance(long, wanted))
    early = averaged_over(tmp_path / "two", 0.1, samples_seen=256)
    assert distance(early, long) > 100 * distance(made, wanted)
    assert distance(short, torch.load(tmp_path / "two/export/weights.pt")) < 1e-6


def test_no_snapshots(tmp_path: Path) -> None:
    module = nn.Linear(1, 1)
    assert Averages(module, ClassicAverage()).lengths == {}
    with pytest.raises(InputError, match=r"keeps no snapshots of averages; training\.average\.kind"):
        averaged_over(tmp_path, 0.1)


def distance(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    return float(torch.stack([(left[name].double() - right[name].double()).norm() for name in right]).norm())
