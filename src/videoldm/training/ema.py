"""Exponential moving average of the trained weights."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Ema:
    """Averages trainable parameters with decay `min(decay, (1 + n) / (10 + n))` after n updates (sgm's warm-up)."""

    def __init__(self, module: nn.Module, *, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self._parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.average: dict[str, Tensor] = {name: p.detach().clone() for name, p in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the current weights."""
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        self.num_updates += 1
        for name, average in self.average.items():
            average.lerp_(self._parameters[name], 1 - decay)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Within the context the module holds the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, parameter in self._parameters.items():
            current = parameter.detach().clone()
            parameter.copy_(self.average[name])
            self.average[name].copy_(current)
