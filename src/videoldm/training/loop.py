"""The training loop: one function that reads from top to bottom."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from videoldm.core import ranks
from videoldm.core.files import atomic_folder
from videoldm.core.progress import progress
from videoldm.training.averages import save_snapshots
from videoldm.training.compilation import AutomaticCompilation
from videoldm.training.config import TrainingConfig
from videoldm.training.distributed import evaluated, unwrap, whole_weights
from videoldm.training.folder import CHECKPOINTS, EXPORT, VALIDATION
from videoldm.training.log import Clock, Meter, RunLog, Watcher
from videoldm.training.objective import Objective
from videoldm.training.state import Checkpoints, RunState, build_state
from videoldm.training.step import Stepper

T = TypeVar("T")


def train(
    objective: Objective,
    config: TrainingConfig,
    folder: Path,
    *,
    device: str = "cpu",
    watchers: Sequence[Watcher] = (),
) -> None:
    """Train `objective` to `config.num_samples`; the same call after an interruption resumes exactly.

    Every process calls it, within `ranks.process_group`. Writes checkpoints, log, validation pictures and, at the end,
    the averaged weights (`folder/export`). Raises FloatingPointError before the optimizer moves when a gradient is not
    finite, as after a loss that is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.callback(objective.close)
        objective.prepare()
        state = build_state(objective, config, device)
        checkpoints = stack.enter_context(Checkpoints(folder / CHECKPOINTS))
        checkpoints.load(state)
        log = stack.enter_context(RunLog(folder, state.samples_seen, watchers))
        advance = stack.enter_context(progress("Training", config.num_samples - state.samples_seen))
        meter, clock = Meter(), Clock(state.device)
        stepper = Stepper(config, state, objective, meter, clock, folder)
        compilation = AutomaticCompilation(_compiled_by_itself(state, config), state.device)

        while state.samples_seen < config.num_samples:
            began = time.monotonic()
            size = objective.batch_size_at(state.samples_seen) or config.batch_size
            positions = range(state.samples_seen, state.samples_seen + size)
            figures: dict[str, float] = {}
            for trainee in state.trainees:
                figures |= stepper.step(trainee, positions)
            state.averages.update()
            state.samples_seen += size
            clock.stepped(size)
            compilation.stepped(time.monotonic() - began, steps_left=(config.num_samples - state.samples_seen) // size)
            advance(size)
            checkpoints.raise_failure()

            if _due(state, size, config.log_every_samples, config):
                log.write(state.samples_seen, meter.read() | figures | clock.read())
            with clock.paused():
                if _due(state, size, config.validate_every_samples, config):
                    log.write(state.samples_seen, _validate(objective, state, config, folder / VALIDATION))
                if _due(state, size, state.averages.snapshot_every_samples, config):
                    save_snapshots(folder, state.averages, state.samples_seen)
                if _due(state, size, config.checkpoint_every_samples, config):
                    checkpoints.save(state)

    _evaluated(state, config, objective.measure)
    _export(objective, state, folder / EXPORT)


def _compiled_by_itself(state: RunState, config: TrainingConfig) -> list[nn.Module]:
    """Return the blocks that are compiled when the first steps show that it pays."""
    is_asked = config.execution.compile == "auto"
    return [block for trainee in state.trainees for block in trainee.player.blocks] if is_asked else []


def _validate(objective: Objective, state: RunState, config: TrainingConfig, folder: Path) -> dict[str, float]:
    """Validate in every process, so that an objective may share the work; the files of the first are kept."""
    for trainee in state.trainees:
        trainee.module.eval()
    with _kept_of_first(folder / f"{state.samples_seen:012d}") as target:
        values = _evaluated(state, config, lambda: objective.validate(target))
    for trainee in state.trainees:
        trainee.module.train()
    return {f"validation/{name}": value for name, value in values.items()}


def _evaluated(state: RunState, config: TrainingConfig, function: Callable[[], T]) -> T:
    """Return what a function gives that uses the averaged weights of the first network, in the run's precision."""
    with torch.no_grad(), state.averages.applied():
        return evaluated(state.first.called, function, precision=getattr(torch, config.precision), device=state.device)


@contextmanager
def _kept_of_first(folder: Path) -> Generator[Path]:
    if ranks.is_first():
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    else:
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)


def _export(objective: Objective, state: RunState, folder: Path) -> None:
    """Write the averaged weights in the first process, which alone needs memory for all of them."""

    def write() -> None:
        if state.blueprint is not None:
            unwrap(state.first.module, state.blueprint, weights, state.device)
        with atomic_folder(folder, replace=True) as export:
            objective.export(export)

    with state.averages.applied():
        weights = whole_weights(state.first.module) if state.blueprint is not None else {}
        ranks.on_first(write)


def _due(state: RunState, batch_size: int, every: int, config: TrainingConfig) -> bool:
    """Whether the step that has just ended crossed a multiple of `every`, or was the last one."""
    seen = state.samples_seen
    return seen // every > (seen - batch_size) // every or seen >= config.num_samples
