"""The training loop: one function that reads from top to bottom."""

import time
from pathlib import Path

import torch
from torch import nn

from videoldm.core.files import atomic_folder
from videoldm.core.progress import progress
from videoldm.training.checkpoint import load_checkpoint, save_checkpoint
from videoldm.training.config import TrainingConfig
from videoldm.training.ema import Ema
from videoldm.training.layout import CHECKPOINTS, EXPORT, VALIDATION
from videoldm.training.log import Meter, RunLog
from videoldm.training.objective import Objective
from videoldm.training.optimizer import build_optimizer, learning_rate


def train(objective: Objective, config: TrainingConfig, folder: Path) -> None:
    """Train `objective` to `config.num_samples`; the same call after an interruption resumes exactly.

    Writes checkpoints, log, validation pictures and, at the end, the averaged weights (`folder/export`).
    Raises FloatingPointError before the optimizer moves when a gradient is not finite, as after a loss that is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    module = objective.module.train()
    optimizer = build_optimizer(module, config.optimizer)
    ema = Ema(module, decay=config.ema_decay)
    samples_seen = load_checkpoint(folder / CHECKPOINTS, module, optimizer, ema)
    meter, last_log = Meter(), time.monotonic()

    with RunLog(folder, samples_seen) as log, progress("Training", config.num_samples - samples_seen) as advance:
        while samples_seen < config.num_samples:
            rate = learning_rate(config, samples_seen)
            _backward(objective, config, samples_seen, meter)
            gradient_norm = _finite_gradient_norm(module, config, samples_seen)
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            ema.update()
            samples_seen += config.batch_size
            advance(config.batch_size)

            if _due(samples_seen, config.log_every_samples, config):
                seconds, last_log = time.monotonic() - last_log, time.monotonic()
                speed = {"gradient_norm": gradient_norm, "learning_rate": rate, "seconds": seconds}
                log.write(samples_seen, meter.read() | speed)
            if _due(samples_seen, config.validate_every_samples, config):
                log.write(samples_seen, _validate(objective, ema, folder / VALIDATION / f"{samples_seen:012d}"))
            if _due(samples_seen, config.checkpoint_every_samples, config):
                save_checkpoint(folder / CHECKPOINTS, module, optimizer, ema, samples_seen)

    with atomic_folder(folder / EXPORT, replace=True) as export, ema.applied():
        objective.export(export)


def _backward(objective: Objective, config: TrainingConfig, samples_seen: int, meter: Meter) -> None:
    """Accumulate the gradient of the mean loss over the next `batch_size` samples."""
    micro_batch = config.batch_size // config.accumulation_steps
    device = next(objective.module.parameters()).device
    for start in range(samples_seen, samples_seen + config.batch_size, micro_batch):
        with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16"):
            losses = objective.losses(range(start, start + micro_batch))
        (losses.per_sample.sum() / config.batch_size).backward()
        meter.add("loss", losses.per_sample)
        if losses.sigma is not None:
            meter.add_by_sigma(losses.per_sample, losses.sigma)
        for name, values in losses.parts.items():
            meter.add(name, values)


def _finite_gradient_norm(module: nn.Module, config: TrainingConfig, samples_seen: int) -> float:
    """Clip the gradient and return its norm before clipping."""
    norm = float(nn.utils.clip_grad_norm_(module.parameters(), config.gradient_clip))
    if not torch.isfinite(torch.tensor(norm)):
        raise FloatingPointError(f"gradient norm is {norm} after {samples_seen} samples; the weights were not changed")
    return norm


def _validate(objective: Objective, ema: Ema, folder: Path) -> dict[str, float]:
    folder.mkdir(parents=True, exist_ok=True)
    module = objective.module.eval()
    with torch.no_grad(), ema.applied():
        values = objective.validate(folder)
    module.train()
    return {f"validation/{name}": value for name, value in values.items()}


def _due(samples_seen: int, every: int, config: TrainingConfig) -> bool:
    """Whether a step that ended at `samples_seen` crossed a multiple of `every`, or was the last one."""
    return samples_seen // every > (samples_seen - config.batch_size) // every or samples_seen >= config.num_samples
