"""The training loop: one function that reads from top to bottom."""

import time
from pathlib import Path

import torch
from torch import nn

from videoldm.core.files import atomic_folder
from videoldm.core.progress import progress
from videoldm.training.checkpoint import load_checkpoint, save_checkpoint
from videoldm.training.config import TrainingConfig
from videoldm.training.layout import CHECKPOINTS, EXPORT, VALIDATION
from videoldm.training.log import Meter, RunLog
from videoldm.training.objective import Objective
from videoldm.training.optimizer import learning_rate
from videoldm.training.state import RunState, Trainee, build_state


def train(objective: Objective, config: TrainingConfig, folder: Path) -> None:
    """Train `objective` to `config.num_samples`; the same call after an interruption resumes exactly.

    Writes checkpoints, log, validation pictures and, at the end, the averaged weights (`folder/export`).
    Raises FloatingPointError before the optimizer moves when a gradient is not finite, as after a loss that is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = build_state(objective, config)
    load_checkpoint(folder / CHECKPOINTS, state)
    meter, last_log = Meter(), time.monotonic()

    with (
        RunLog(folder, state.samples_seen) as log,
        progress("Training", config.num_samples - state.samples_seen) as advance,
    ):
        while state.samples_seen < config.num_samples:
            size = objective.batch_size_at(state.samples_seen) or config.batch_size
            positions = range(state.samples_seen, state.samples_seen + size)
            speed: dict[str, float] = {}
            for trainee in state.trainees:
                speed |= _step(trainee, state, positions, config, meter)
            state.ema.update()
            state.samples_seen += size
            advance(size)

            if _due(state.samples_seen, size, config.log_every_samples, config):
                speed["seconds"], last_log = time.monotonic() - last_log, time.monotonic()
                log.write(state.samples_seen, meter.read() | speed)
            if _due(state.samples_seen, size, config.validate_every_samples, config):
                log.write(state.samples_seen, _validate(objective, state, folder / VALIDATION))
            if _due(state.samples_seen, size, config.checkpoint_every_samples, config):
                save_checkpoint(folder / CHECKPOINTS, state)

    with atomic_folder(folder / EXPORT, replace=True) as export, state.ema.applied():
        objective.export(export)


def _step(
    trainee: Trainee, state: RunState, positions: range, config: TrainingConfig, meter: Meter
) -> dict[str, float]:
    """Move one player down the gradient of its mean loss; returns gradient norm and learning rate for the log."""
    prefix = "" if trainee is state.trainees[0] else f"{trainee.player.name}/"
    for one in state.trainees:  # a player's loss may have gradients for the others too
        one.optimizer.zero_grad(set_to_none=True)
    _backward(trainee, positions, config, meter, prefix)
    gradient_norm = _finite_gradient_norm(trainee.module, config, state.samples_seen)
    rate = learning_rate(
        trainee.config, samples_seen=state.samples_seen, batch_size=len(positions), num_samples=config.num_samples
    )
    for group in trainee.optimizer.param_groups:
        group["lr"] = rate
    trainee.optimizer.step()
    return {f"{prefix}gradient_norm": gradient_norm, f"{prefix}learning_rate": rate}


def _backward(trainee: Trainee, positions: range, config: TrainingConfig, meter: Meter, prefix: str) -> None:
    """Accumulate the gradient of the mean loss over the samples at `positions`."""
    micro_batch = len(positions) // config.accumulation_steps
    device = next(trainee.module.parameters()).device
    for start in range(0, len(positions), micro_batch):
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            losses = trainee.player.losses(positions[start : start + micro_batch])
        (losses.per_sample.sum() / len(positions)).backward()
        meter.add(f"{prefix}loss", losses.per_sample)
        if losses.sigma is not None:
            meter.add_by_sigma(losses.per_sample, losses.sigma)
        for name, values in losses.parts.items():
            meter.add(f"{prefix}{name}", values)


def _finite_gradient_norm(module: nn.Module, config: TrainingConfig, samples_seen: int) -> float:
    """Clip the gradient and return its norm before clipping."""
    norm = float(nn.utils.clip_grad_norm_(module.parameters(), config.gradient_clip))
    if not torch.isfinite(torch.tensor(norm)):
        raise FloatingPointError(f"gradient norm is {norm} after {samples_seen} samples; the weights were not changed")
    return norm


def _validate(objective: Objective, state: RunState, folder: Path) -> dict[str, float]:
    target = folder / f"{state.samples_seen:012d}"
    target.mkdir(parents=True, exist_ok=True)
    for trainee in state.trainees:
        trainee.module.eval()
    with torch.no_grad(), state.ema.applied():
        values = objective.validate(target)
    for trainee in state.trainees:
        trainee.module.train()
    return {f"validation/{name}": value for name, value in values.items()}


def _due(samples_seen: int, batch_size: int, every: int, config: TrainingConfig) -> bool:
    """Whether a step that ended at `samples_seen` crossed a multiple of `every`, or was the last one."""
    return samples_seen // every > (samples_seen - batch_size) // every or samples_seen >= config.num_samples
