"""Trainings that several processes run together; as a program, under torchrun: `rank_scenarios.py OUT NAME ...`."""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from toy_objective import ToyContest, ToyWithIdleLayer
from video_objective import VideoObjective

from videoldm.core import ranks
from videoldm.training.config import (
    SGD,
    ExecutionConfig,
    OptimizerConfig,
    PowerAverage,
    Replicated,
    Sharded,
    TrainingConfig,
)
from videoldm.training.loop import train
from videoldm.training.objective import Objective

BATCH, STEPS = 4, 20


@dataclass(frozen=True)
class Scenario:
    """What is trained and how, but for the layout over processes."""

    objective: Callable[[], Objective]
    changes: dict[str, Any]

    def config(self, layout: str, **changes: Any) -> TrainingConfig:
        """The run's configuration."""
        config = TrainingConfig(
            num_samples=BATCH * STEPS,
            batch_size=BATCH,
            optimizer=OptimizerConfig(learning_rate=1e-3, warmup_samples=4 * BATCH),
            log_every_samples=BATCH,
            validate_every_samples=BATCH * STEPS,
            checkpoint_every_samples=BATCH * STEPS // 2,
            execution=ExecutionConfig(distributed={"ddp": Replicated(), "fsdp": Sharded()}[layout]),
        )
        return config.model_copy(update=self.changes | changes)


def video64() -> Objective:
    """In double precision."""
    return VideoObjective(torch.float64)


SGD_STEPS = OptimizerConfig(learning_rate=1e-2, algorithm=SGD(momentum=0.5))
SCENARIOS = {
    "adamw64": Scenario(video64, {"average": PowerAverage(lengths=(0.1, 0.2), snapshot_every_samples=20)}),
    "adamw32": Scenario(VideoObjective, {}),
    "sgd32": Scenario(VideoObjective, {"optimizer": SGD_STEPS}),
    "contest": Scenario(ToyContest, {}),
    "idle": Scenario(ToyWithIdleLayer, {}),
    "accumulated": Scenario(ToyWithIdleLayer, {"accumulation_steps": 2, "batch_size": 8}),
}


def run(out: Path, word: str) -> None:
    """Train the scenario of `SCENARIO[-PURPOSE].LAYOUT[=SOURCE]` in a folder of that name.

    It goes on from the middle of the run `SOURCE`. Each process writes down what it drew.
    """
    name, _, source = word.partition("=")
    scenario, _, layout = name.partition(".")
    scenario = scenario.split("-", maxsplit=1)[0]
    if source:
        ranks.on_first(lambda: copy_middle(out / source, out / name))
    objective = SCENARIOS[scenario].objective()
    train(objective, SCENARIOS[scenario].config(layout), out / name)
    drawn = getattr(objective, "drawn", None)
    if drawn is not None:
        (out / name / f"drawn-{ranks.rank()}.json").write_text(json.dumps(drawn))


def copy_middle(source: Path, target: Path) -> None:
    """Bring a run back to its first checkpoint, in another folder."""
    middle, _ = sorted((source / "checkpoints").iterdir())
    shutil.copytree(middle, target / "checkpoints" / middle.name)
    shutil.copyfile(source / "log.jsonl", target / "log.jsonl")


def main() -> None:
    """Run the scenarios one after the other."""
    torch.set_num_threads(1)
    with ranks.joined("cpu"):
        for name in sys.argv[2:]:
            run(Path(sys.argv[1]), name)


if __name__ == "__main__":
    main()
