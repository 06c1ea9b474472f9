"""How a step is computed changes no result; what goes wrong leaves the run as it was."""

import json
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from toy_objective import ToyContest, ToyObjective, assert_close, toy_training
from video_objective import VideoObjective

from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.training import optimizer
from videoldm.training.config import AdamW8bit, ExecutionConfig, OptimizerConfig, Sharded, TrainingConfig
from videoldm.training.loop import train
from videoldm.training.objective import Losses, Player
from videoldm.training.state import Checkpoints, build_state
from videoldm.training.step import micro_batch_size

pytestmark = pytest.mark.slow


class ToyOfBlocks(ToyObjective):
    """Its network is one block; counts how often that runs."""

    def __init__(self) -> None:
        super().__init__()
        self.runs = 0
        self.module[1].register_forward_hook(self._count)

    @property
    def players(self) -> list[Player]:
        return [Player("toy", self.module, self.losses, blocks=[self.module])]

    def _count(self, *_: object) -> None:
        self.runs += 1


def trained(folder: Path, objective: ToyObjective | None = None, **changes: object) -> dict[str, object]:
    """Everything after 16 samples."""
    toy = objective or ToyOfBlocks()
    config = toy_training(num_samples=16, validate_every_samples=16, checkpoint_every_samples=16, **changes)
    train(toy, config, folder)
    return weights_and_log(folder)


def weights_and_log(folder: Path) -> dict[str, object]:
    records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    losses = torch.tensor([record["loss"] for record in records if "loss" in record], dtype=torch.float64)
    return {"weights": torch.load(folder / "export/weights.pt"), "losses": losses}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    return trained(tmp_path_factory.mktemp("plain"))


def test_recomputed_blocks_give_the_same_losses(tmp_path: Path, plain: dict[str, object]) -> None:
    usual, toy = ToyOfBlocks(), ToyOfBlocks()
    trained(tmp_path / "usual", usual)
    assert_close(trained(tmp_path / "toy", toy, execution=ExecutionConfig(recompute="blocks")), plain, tolerance=0)
    assert toy.runs == usual.runs + 4  # once more in each step
    assert list(toy.module.state_dict()) == list(usual.module.state_dict())


def test_recomputed_video_blocks_give_the_same_losses(tmp_path: Path) -> None:
    runs = []
    for kind in ("none", "blocks"):
        objective = VideoObjective()
        config = toy_training(num_samples=12, validate_every_samples=12, execution=ExecutionConfig(recompute=kind))
        train(objective, config, tmp_path / kind)
        runs.append(weights_and_log(tmp_path / kind))
    assert_close(*runs, tolerance=0)


def test_compiled_blocks_give_the_same_losses(tmp_path: Path, plain: dict[str, object]) -> None:
    execution = ExecutionConfig(compile="blocks", recompute="blocks")
    assert_close(trained(tmp_path, execution=execution), plain, tolerance=1e-12)


@pytest.mark.parametrize("offload", ["none", "cpu"])
def test_shards_of_one_process_give_the_same_losses(tmp_path: Path, plain: dict[str, object], offload: str) -> None:
    with ranks.process_group("cpu", even_alone=True):
        sharded = trained(tmp_path, ToyObjective(), execution=ExecutionConfig(distributed=Sharded(offload=offload)))
    assert_close(sharded, plain, tolerance=1e-12)


def test_stage_without_blocks_cannot_recompute_them(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.execution\.recompute is blocks, but this stage's toy has none"):
        train(ToyObjective(), toy_training(execution=ExecutionConfig(recompute="blocks")), tmp_path)


def test_batches_may_differ_in_size(tmp_path: Path) -> None:
    class Buckets(ToyObjective):
        def batch_size_at(self, samples_seen: int) -> int:
            return 8 if samples_seen % 12 == 4 else 4

        def losses(self, positions: Sequence[int]) -> Losses:
            sizes.append((positions[0], len(positions)))
            return super().losses(positions)

    sizes: list[tuple[int, int]] = []
    objective = Buckets()
    train(objective, toy_training(num_samples=24, validate_every_samples=10**6, checkpoint_every_samples=12), tmp_path)
    assert sizes[:4] == [(0, 4), (4, 8), (12, 4), (16, 8)]
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["000000000012", "000000000024"]


def test_batch_is_shared_by_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    config = toy_training(accumulation_steps=2)
    assert micro_batch_size(12, config) == 6
    with pytest.raises(InputError, match=r"a batch of 8 is not a multiple of 6: .*steps \(2\) x processes \(3\)"):
        micro_batch_size(8, config)


def test_batch_that_diverges_is_told(tmp_path: Path) -> None:
    config: TrainingConfig = toy_training(accumulation_steps=2)
    with pytest.raises(FloatingPointError, match=r"the loss of sample 14 is not finite.*diverged-000000000012.json"):
        train(ToyObjective(poison_at=14), config, tmp_path)
    told = json.loads((tmp_path / "diverged-000000000012.json").read_text())
    assert (told["player"], told["samples_seen"], told["gradient_norms"]) == ("toy", 12, {"all": "nan", "other": "nan"})
    assert [sample["position"] for sample in told["samples"]] == [12, 13, 14, 15]
    assert [isinstance(sample["loss"], str) for sample in told["samples"]] == [False, False, True, True]
    assert all(sample["rank"] == 0 and sample["sigma"] > 0 for sample in told["samples"])


def test_disk_that_fills_up_while_saving_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(ToyContest(), toy_training(), tmp_path / "whole")
    write, limits = Checkpoints._write, resource.getrlimit(resource.RLIMIT_FSIZE)

    def write_a_little(self: Checkpoints, values: dict[str, object], target: Path) -> None:
        if target.name == "000000000024":
            resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, limits[1]))
        try:
            write(self, values, target)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "_write", write_a_little)
        with pytest.raises(OSError, match="File too large"):
            train(ToyContest(), toy_training(), tmp_path / "full")
    assert [path.name for path in (tmp_path / "full/checkpoints").iterdir()] == ["000000000012"]
    train(ToyContest(), toy_training(), tmp_path / "full")
    ends = []
    for name in ("whole", "full"):
        state = build_state(ToyContest(), toy_training())
        Checkpoints(tmp_path / name / "checkpoints").load(state)
        ends.append(state.values())
    assert_close(*ends, tolerance=0)


def test_8_bit_optimizer_needs_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("torchao.optim", "bitsandbytes.optim"):
        monkeypatch.setitem(sys.modules, package, None)
    config = OptimizerConfig(learning_rate=1e-3, algorithm=AdamW8bit())
    with pytest.raises(InputError, match="is adamw-8bit, which needs torchao or bitsandbytes"):
        optimizer.build_optimizer(ToyObjective().module, config)
    assert OptimizerConfig.model_validate(config.model_dump()) == config
