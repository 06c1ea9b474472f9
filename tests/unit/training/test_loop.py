"""The training loop: exact resume, accumulation, and stopping before damage is done."""

import gc
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from toy_objective import Stop, ToyContest, ToyObjective, assert_close, toy_training

from videoldm.training import log
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.log import Clock
from videoldm.training.loop import train
from videoldm.training.objective import Losses, Objective
from videoldm.training.state import Checkpoints, build_state


def run(folder: Path, config: TrainingConfig | None = None, **objective: int) -> ToyObjective:
    toy = ToyObjective(**objective)
    train(toy, config or toy_training(), folder)
    return toy


def state_of(folder: Path, objective: Objective | None = None) -> dict[str, Any]:
    """Everything that a run leaves in its last checkpoint, and its log without the clock."""
    state = build_state(objective or ToyObjective(), toy_training())
    Checkpoints(folder / "checkpoints").load(state)
    return state.values() | {"log": re.sub(r', "seconds": [^}]*', "", (folder / "log.jsonl").read_text())}


def assert_bit_equal(left: dict[str, object], right: dict[str, object]) -> None:
    assert left["log"] == right["log"]
    assert left.keys() == right.keys()
    assert_close(left, right, tolerance=0)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("whole")
    run(folder)
    return state_of(folder)


@pytest.mark.parametrize("crashes", [(0,), (11,), (12,), (26, 31), (33, 63)])
def test_interrupted_run_equals_uninterrupted_one(
    tmp_path: Path, uninterrupted: dict[str, object], crashes: tuple[int, ...]
) -> None:
    for crash_at in crashes:
        with pytest.raises(Stop):
            run(tmp_path, crash_at=crash_at)
    run(tmp_path)
    assert_bit_equal(state_of(tmp_path), uninterrupted)


def test_finished_run_is_left_as_it_is(tmp_path: Path, uninterrupted: dict[str, object]) -> None:
    run(tmp_path)
    again = run(tmp_path)
    assert again.visited == []
    assert_bit_equal(state_of(tmp_path), uninterrupted)


def test_other_seed_gives_another_run(tmp_path: Path, uninterrupted: dict[str, object]) -> None:
    run(tmp_path, seed=1)
    with pytest.raises(AssertionError):
        assert_bit_equal(state_of(tmp_path), uninterrupted)


def test_accumulated_batches_equal_whole_ones(tmp_path: Path, uninterrupted: dict[str, object]) -> None:
    run(tmp_path, toy_training(accumulation_steps=4))
    ours, whole = state_of(tmp_path), uninterrupted
    assert_close(ours["players"], whole["players"], tolerance=1e-12)


def test_every_sample_is_visited_once_and_in_order(tmp_path: Path) -> None:
    assert [p for p in run(tmp_path).visited if p < 10_000] == list(range(64))


def test_not_finite_loss_stops_before_the_optimizer_moves(tmp_path: Path) -> None:
    poisoned, kept = ToyObjective(poison_at=13), ToyObjective()
    with pytest.raises(FloatingPointError, match="after 12 samples"):
        train(poisoned, toy_training(), tmp_path)
    state = build_state(kept, toy_training())
    Checkpoints(tmp_path / "checkpoints").load(state)
    assert state.samples_seen == 12
    torch.testing.assert_close(poisoned.module.state_dict(), kept.module.state_dict(), rtol=0, atol=0)


def test_log_has_rates_bins_and_validation(tmp_path: Path) -> None:
    run(tmp_path)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [r["samples"] for r in records if "loss" in r] == [4 * i for i in range(1, 17)]
    assert [r["samples"] for r in records if "validation/loss" in r] == [32, 64]
    assert any(name.startswith("loss_sigma/") for name in records[0])
    assert list((tmp_path / "tensorboard").iterdir())
    assert records[-1]["samples"] == 64


def test_loss_falls(tmp_path: Path) -> None:
    run(tmp_path, toy_training(num_samples=1024, checkpoint_every_samples=1024, validate_every_samples=1024))
    losses = [json.loads(line).get("loss") for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    numbers = [loss for loss in losses if loss is not None]
    assert sum(numbers[-32:]) < 0.3 * sum(numbers[:32])


def test_adversary_has_an_optimizer_of_its_own(tmp_path: Path) -> None:
    """Generator and judge move as in a plain loop, and go on from a checkpoint exactly."""
    contest, plain = ToyContest(), ToyContest()
    config = toy_training(gradient_clip=1e9, optimizer=OptimizerConfig(learning_rate=1e-2))
    train(contest, config, tmp_path / "whole")
    adam = torch.optim.AdamW(plain.module.parameters(), lr=1e-2, betas=(0.9, 0.99), weight_decay=0)
    sgd = torch.optim.SGD(plain.judge.parameters(), lr=1e-2)
    for start in range(0, 64, 4):
        for optimizer, losses in ((adam, plain.generator_losses), (sgd, plain.judge_losses)):
            plain.module.zero_grad()
            plain.judge.zero_grad()
            losses(range(start, start + 4)).per_sample.mean().backward()
            optimizer.step()
    torch.testing.assert_close(contest.judge.state_dict(), plain.judge.state_dict(), rtol=0, atol=1e-14)
    torch.testing.assert_close(contest.module.state_dict(), plain.module.state_dict(), rtol=0, atol=1e-14)
    with pytest.raises(Stop):
        train(ToyContest(crash_at=30), config, tmp_path / "parts")
    train(ToyContest(), config, tmp_path / "parts")
    assert_bit_equal(state_of(tmp_path / "parts", ToyContest()), state_of(tmp_path / "whole", ToyContest()))
    assert '"judge/loss"' in (tmp_path / "whole/log.jsonl").read_text()


class Reading(ToyObjective):
    """Notes when it may read and when no more."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.told: list[str] = []

    def prepare(self) -> None:
        self.told.append("prepare")

    def close(self) -> None:
        self.told.append(f"close after {len(self.visited)}")


def test_reading_ahead_ends_with_the_run_however_that_ends(tmp_path: Path) -> None:
    whole, broken = Reading(), Reading(crash_at=20)
    train(whole, toy_training(), tmp_path / "whole")
    with pytest.raises(Stop):
        train(broken, toy_training(), tmp_path / "broken")
    assert whole.told == ["prepare", f"close after {len(whole.visited)}"]
    assert broken.told == ["prepare", f"close after {len(broken.visited)}"]
    assert len(broken.visited) < len(whole.visited)


class Watched(ToyObjective):
    """Notes whether garbage may be collected while its loss is computed, in training and in validation."""

    def __init__(self, **options: int) -> None:
        super().__init__(**options)
        self.collecting: dict[bool, set[bool]] = {True: set(), False: set()}

    def losses(self, positions: Sequence[int]) -> Losses:
        self.collecting[torch.is_grad_enabled()].add(gc.isenabled())
        return super().losses(positions)


def test_garbage_is_left_alone_while_a_graph_is_built(tmp_path: Path) -> None:
    whole, broken = Watched(), Watched(crash_at=20)
    train(whole, toy_training(), tmp_path / "whole")
    assert whole.collecting == {True: {False}, False: {True}}
    with pytest.raises(Stop):
        train(broken, toy_training(), tmp_path / "broken")
    assert gc.isenabled()


def test_speed_leaves_validation_out(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(log.time, "monotonic", lambda: now[0])
    clock = Clock(torch.device("cpu"))
    clock.stepped(8)
    now[0] += 2
    with clock.paused():
        now[0] += 100
    clock.waited(1.0)
    figures = clock.read()
    assert (figures["seconds"], figures["samples_per_second"], figures["waiting_share"]) == (2, 4, 0.5)
