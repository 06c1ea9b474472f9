"""Trainings that several processes run together; as a program: `rank_scenarios.py OUT SIZE SCENARIO.LAYOUT ...`."""

import faulthandler
import json
import os
import re
import shutil
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes
from torch.profiler import ProfilerActivity, profile
from toy_objective import ToyContest, ToyObjective, ToyWithIdleLayer
from video_objective import StudentObjective, VideoObjective

from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.training.config import (
    SGD,
    ExecutionConfig,
    Muon,
    OptimizerConfig,
    PowerAverage,
    Replicated,
    Sharded,
    TrainingConfig,
)
from videoldm.training.log import Clock, Meter
from videoldm.training.loop import train
from videoldm.training.objective import Objective
from videoldm.training.state import build_state
from videoldm.training.step import Stepper

BATCH, STEPS = 4, 20
PATIENCE_S = 240
"""After which processes that wait for each other for ever say where they are, and end."""


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
    "adamw64": Scenario(video64, {"average": PowerAverage(lengths=(0.1, 0.2), snapshot_every_samples=40)}),
    "adamw32": Scenario(lambda: ToyObjective(dtype=torch.float32), {}),
    "sgd32": Scenario(VideoObjective, {"optimizer": SGD_STEPS}),
    "muon": Scenario(VideoObjective, {"optimizer": OptimizerConfig(learning_rate=1e-3, algorithm=Muon())}),
    "contest": Scenario(ToyContest, {}),
    "student": Scenario(lambda: StudentObjective(torch.float64), {}),
    "idle": Scenario(ToyWithIdleLayer, {}),
    "accumulated": Scenario(
        ToyWithIdleLayer,
        {"accumulation_steps": 2, "batch_size": 2 * BATCH, "num_samples": 2 * BATCH * STEPS}
        | {"log_every_samples": 2 * BATCH, "checkpoint_every_samples": BATCH * STEPS},
    ),
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


def work(rank: int, size: int, port: int, out: Path, words: list[str]) -> None:
    """One of several processes."""
    torch.set_num_threads(1)
    faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    with ranks.process_group("cpu"):
        for word in words:
            run(out, word)
        (out / f"failure-{rank}.txt").write_text(failure_of_first())
        for layout in ("ddp", "fsdp"):
            (out / f"poisoned.{layout}-{rank}.txt").write_text(end_of_poisoned(out / f"poisoned.{layout}", layout))
            counts = [num_reductions(layout, accumulation_steps=steps) for steps in (1, 4)]
            (out / f"reductions.{layout}-{rank}.json").write_text(json.dumps(counts))


def failure_of_first() -> str:
    """What a process hears where the first one fails."""
    try:
        ranks.on_first(fail)
    except Exception as error:  # noqa: BLE001 - is what is asked for
        return type(error).__name__
    return "nothing"


def fail() -> None:
    """Break down."""
    raise InputError("no")


def end_of_poisoned(folder: Path, layout: str) -> str:
    """What a process is told when the last one's part of the second batch has no finite loss."""
    config = SCENARIOS["adamw32"].config(layout)
    try:
        train(ToyObjective(poison_at=2 * BATCH - 1), config, folder)
    except FloatingPointError as error:
        return str(error)
    return "nothing"


def num_reductions(layout: str, *, accumulation_steps: int) -> int:
    """How often the processes add up tensors in one step of as many micro-batches."""
    size = 4 * ranks.world_size()
    config = SCENARIOS["adamw32"].config(layout, batch_size=size, accumulation_steps=accumulation_steps)
    objective = ToyObjective()
    state = build_state(objective, config)
    stepper = Stepper(config, state, objective, Meter(), Clock(state.device), Path())
    with profile(activities=[ProfilerActivity.CPU]) as watched:
        stepper.step(state.first, range(size))
    return sum(event.count for event in watched.key_averages() if re.match(r"c10d::.*reduce", event.key))


def main() -> None:
    """Run the scenarios one after the other; the processes are forks, as to import torch takes each a few seconds."""
    out, size, *words = sys.argv[1:]
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        port = taken.getsockname()[1]
    start_processes(work, (int(size), port, Path(out), words), nprocs=int(size), start_method="fork")


if __name__ == "__main__":
    main()
