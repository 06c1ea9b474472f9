"""The training loop: exact resume, accumulation, and stopping before damage is done."""

import json
import re
from pathlib import Path

import pytest
import torch
from toy_objective import Stop, ToyObjective, toy_training

from videoldm.training.checkpoint import load_checkpoint
from videoldm.training.config import TrainingConfig
from videoldm.training.ema import Ema
from videoldm.training.loop import train
from videoldm.training.optimizer import build_optimizer


def run(folder: Path, config: TrainingConfig | None = None, **objective: int) -> ToyObjective:
    toy = ToyObjective(**objective)
    train(toy, config or toy_training(), folder)
    return toy


def state_of(folder: Path) -> dict[str, object]:
    """Everything that a run leaves in its last checkpoint, and its log without the clock."""
    toy = ToyObjective()
    optimizer = build_optimizer(toy.module, toy_training().optimizer)
    ema = Ema(toy.module, decay=0.9)
    samples = load_checkpoint(folder / "checkpoints", toy.module, optimizer, ema)
    log = re.sub(r', "seconds": [^}]*', "", (folder / "log.jsonl").read_text())
    moments = [optimizer.state[p] for p in toy.module.parameters()]
    return {"model": toy.module.state_dict(), "moments": moments, "ema": ema.average, "samples": samples, "log": log}


def assert_bit_equal(left: dict[str, object], right: dict[str, object]) -> None:
    assert left["samples"] == right["samples"]
    assert left["log"] == right["log"]
    for part in ("model", "moments", "ema"):
        torch.testing.assert_close(left[part], right[part], rtol=0, atol=0)


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
    torch.testing.assert_close(ours["model"], whole["model"], rtol=0, atol=1e-12)


def test_every_sample_is_visited_once_and_in_order(tmp_path: Path) -> None:
    assert [p for p in run(tmp_path).visited if p < 10_000] == list(range(64))


def test_not_finite_loss_stops_before_the_optimizer_moves(tmp_path: Path) -> None:
    poisoned, kept = ToyObjective(poison_at=13), ToyObjective()
    with pytest.raises(FloatingPointError, match="after 12 samples"):
        train(poisoned, toy_training(), tmp_path)
    optimizer, ema = build_optimizer(kept.module, toy_training().optimizer), Ema(kept.module, decay=0.9)
    assert load_checkpoint(tmp_path / "checkpoints", kept.module, optimizer, ema) == 12
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
