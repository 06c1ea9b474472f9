"""Optimizers, and the learning rate as a function of the samples seen."""

from __future__ import annotations

import contextlib
import importlib
import math
from collections.abc import Callable, Sequence
from typing import Any, assert_never

from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import set_optimizer_state_dict
from torch.optim import SGD, AdamW, Optimizer

from videoldm.core.errors import InputError
from videoldm.training import config as configs
from videoldm.training.config import ConstantRate, CosineRate, OptimizerConfig
from videoldm.training.muon import MuonAdamW


def build_optimizer(module: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Build the optimizer of the trainable parameters of `module`."""
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    match config.algorithm:
        case configs.AdamW8bit(betas=betas, epsilon=epsilon, weight_decay=decay):
            return _adamw_8bit()(parameters, lr=config.learning_rate, betas=betas, eps=epsilon, weight_decay=decay)
        case configs.Muon(betas=betas, epsilon=epsilon, weight_decay=decay, momentum=momentum):
            rate = config.learning_rate
            return MuonAdamW(module, lr=rate, momentum=momentum, betas=betas, eps=epsilon, weight_decay=decay)
        case configs.AdamW(betas=betas, epsilon=epsilon, weight_decay=decay):
            rate, fused = config.learning_rate, _is_fused(parameters)
            return AdamW(parameters, lr=rate, betas=betas, eps=epsilon, weight_decay=decay, fused=fused)
        case configs.SGD(momentum=momentum, weight_decay=decay):
            return SGD(parameters, lr=config.learning_rate, momentum=momentum, weight_decay=decay)
        case _:
            assert_never(config.algorithm)


def _is_fused(parameters: Sequence[Tensor]) -> bool:
    """Whether one kernel makes a whole step, which takes a third of the time of one for each operation."""
    is_real = all(one.is_floating_point() for one in parameters)
    return is_real and {one.device.type for one in parameters} in ({"cuda"}, {"cpu"})


def restore_optimizer(module: nn.Module, optimizer: Optimizer, stored: dict[str, Any]) -> None:
    """Restore what `get_optimizer_state_dict` gave on any device; the kernel that makes the steps stays our own."""
    for group, own in zip(stored["param_groups"], optimizer.param_groups, strict=True):
        if "fused" in own:
            group["fused"] = own["fused"]
    set_optimizer_state_dict(module, optimizer, stored)


def _adamw_8bit() -> Callable[..., Optimizer]:
    """Return the class of torchao, which supports shards, or else of bitsandbytes."""
    for package, name in (("torchao.optim", "AdamW8bit"), ("bitsandbytes.optim", "AdamW8bit")):
        with contextlib.suppress(ImportError):
            return getattr(importlib.import_module(package), name)
    raise InputError(
        "training.optimizer.algorithm.kind is adamw-8bit, which needs torchao or bitsandbytes: pip install torchao, or "
        "give adamw"
    )


def learning_rate(config: OptimizerConfig, *, samples_seen: int, batch_size: int, num_samples: int) -> float:
    """Return the learning rate of the step that starts after `samples_seen` of `num_samples` samples."""
    if samples_seen < config.warmup_samples:
        return config.learning_rate * (samples_seen + batch_size) / (config.warmup_samples + batch_size)
    match config.decay:
        case ConstantRate():
            return config.learning_rate
        case CosineRate(final_fraction=final):
            length = max(1, num_samples - config.warmup_samples)
            progress = min(1.0, (samples_seen - config.warmup_samples) / length)
            return config.learning_rate * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of the next step."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):  # as in torchao, whose step is compiled with it
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate
