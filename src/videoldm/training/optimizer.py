"""AdamW and its learning-rate course as a function of the samples seen."""

import math

from torch import nn
from torch.optim import AdamW

from videoldm.training.config import ConstantRate, CosineRate, OptimizerConfig, TrainingConfig


def build_optimizer(module: nn.Module, config: OptimizerConfig) -> AdamW:
    """AdamW over the trainable parameters of `module`."""
    return AdamW(
        [parameter for parameter in module.parameters() if parameter.requires_grad],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        weight_decay=config.weight_decay,
    )


def learning_rate(config: TrainingConfig, samples_seen: int) -> float:
    """Learning rate of the step that starts after `samples_seen` samples."""
    optimizer = config.optimizer
    if samples_seen < optimizer.warmup_samples:
        return (
            optimizer.learning_rate
            * (samples_seen + config.batch_size)
            / (optimizer.warmup_samples + config.batch_size)
        )
    match optimizer.decay:
        case ConstantRate():
            return optimizer.learning_rate
        case CosineRate(final_fraction=final):
            length = max(1, config.num_samples - optimizer.warmup_samples)
            progress = min(1.0, (samples_seen - optimizer.warmup_samples) / length)
            return optimizer.learning_rate * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress)))
