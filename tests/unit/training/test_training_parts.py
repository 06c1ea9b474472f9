"""Learning rate, moving average, meter and the order of samples."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn
from toy_objective import toy_training

from videoldm.dataset.order import sample_index
from videoldm.training.averages import Averages
from videoldm.training.config import ClassicAverage, ConstantRate, OptimizerConfig, TrainingConfig
from videoldm.training.log import Meter
from videoldm.training.optimizer import learning_rate


def rate_at(config: TrainingConfig, samples_seen: int) -> float:
    return learning_rate(
        config.optimizer, samples_seen=samples_seen, batch_size=config.batch_size, num_samples=config.num_samples
    )


def test_cosine_rate_warms_up_and_falls_to_its_end() -> None:
    config = toy_training()
    rates = [rate_at(config, samples) for samples in range(0, 65, 4)]
    assert rates[0] < rates[1] < rates[2] == pytest.approx(1e-2)
    assert rates[-1] == pytest.approx(0.05 * 1e-2)
    assert rate_at(config, 36) == pytest.approx(1e-2 * (0.05 + 0.95 * 0.5))
    assert all(a >= b for a, b in pairwise(rates[2:]))


def test_constant_rate_stays() -> None:
    config = toy_training(optimizer=OptimizerConfig(learning_rate=1e-3, decay=ConstantRate()))
    assert {rate_at(config, samples) for samples in (0, 20, 64)} == {1e-3}


def test_batch_must_split_evenly() -> None:
    values = toy_training().model_dump() | {"accumulation_steps": 3}
    with pytest.raises(ValidationError, match="batch_size is 4, it should be a multiple of accumulation_steps"):
        type(toy_training()).model_validate(values)


def test_moving_average_follows_its_formula() -> None:
    module = nn.Linear(1, 1, bias=False)
    module.weight.data.fill_(0.0)
    averages = Averages(module, ClassicAverage(decay=0.5))
    expected = 0.0
    for step in range(12):
        module.weight.data.fill_(float(step))
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step
        averages.update()
    assert float(averages.values["classic"]["weight"]) == pytest.approx(expected)


def test_applied_average_is_taken_back() -> None:
    module = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    averages = Averages(module, ClassicAverage(decay=0.9))
    averages.values["classic"]["weight"].fill_(7.0)
    with averages.applied():
        assert bool((module.weight == 7).all())
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
    assert bool((averages.values["classic"]["weight"] == 7).all())


def test_meter_means_by_noise_level() -> None:
    meter = Meter()
    meter.add("loss", torch.tensor([1.0, 3.0]))
    meter.add_by_sigma(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0.01, 0.3, 100.0]))
    assert meter.read() == {"loss": 2.0, "loss_sigma/0-0.05": 1.0, "loss_sigma/0.2-0.5": 3.0, "loss_sigma/20-inf": 5.0}
    assert meter.read() == {}


@given(seed=st.integers(0, 2**32), num_items=st.integers(1, 50), epoch=st.integers(0, 3))
def test_each_epoch_visits_every_item_once(seed: int, num_items: int, epoch: int) -> None:
    positions = range(epoch * num_items, (epoch + 1) * num_items)
    assert sorted(sample_index(seed, position, num_items) for position in positions) == list(range(num_items))


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(sample_index(seed, p, 40) for p in range(40 * e, 40 * e + 40)) for seed in (0, 1) for e in (0, 1)}
    assert len(orders) == 4
