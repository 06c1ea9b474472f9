"""Moving averages of the trained weights, which may lie in shards."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import assert_never

import numpy as np
import torch
from torch import Tensor, nn

from videoldm.training.config import ClassicAverage, PowerAverage
from videoldm.training.distributed import local


class Averages:
    """One or several moving averages of a network's trainable parameters.

    The first is what `applied` puts in place. `values` holds each by its name, a tensor a parameter.
    """

    def __init__(self, module: nn.Module, config: ClassicAverage | PowerAverage) -> None:
        self.config = config
        self.num_updates = 0
        self._parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.values: dict[str, dict[str, Tensor]] = {
            name: {key: p.detach().clone() for key, p in self._parameters.items()} for name in _names(config)
        }

    @property
    def lengths(self) -> dict[str, float]:
        """The length of each power-function average by its name."""
        match self.config:
            case PowerAverage(lengths=lengths):
                return dict(zip(self.values, lengths, strict=True))
            case ClassicAverage():
                return {}

    @property
    def snapshot_every_samples(self) -> int:
        """How often snapshots are due."""
        return self.config.snapshot_every_samples if isinstance(self.config, PowerAverage) else sys.maxsize

    @torch.no_grad()
    def update(self) -> None:
        """Move the averages towards the current weights."""
        self.num_updates += 1
        for name, average in self.values.items():
            weight = 1 - _decay(self.config, name, self.num_updates)
            for key, value in average.items():
                local(value).lerp_(local(self._parameters[key].detach()), weight)

    @contextmanager
    def applied(self) -> Generator[None]:
        """Within the context the network holds the first average."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        average = next(iter(self.values.values()))
        for key, parameter in self._parameters.items():
            current = parameter.detach().clone()
            parameter.copy_(average[key])
            average[key].copy_(current)


def exponent_of(length: float) -> float:
    """The exponent of the power profile with that standard deviation, as a share (arXiv 2312.02696, section 3.1)."""
    inverse = length**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


def _names(config: ClassicAverage | PowerAverage) -> list[str]:
    match config:
        case ClassicAverage():
            return ["classic"]
        case PowerAverage(lengths=lengths):
            return [f"{length:g}" for length in lengths]
        case _:
            assert_never(config)


def _decay(config: ClassicAverage | PowerAverage, name: str, num_updates: int) -> float:
    """What stays of the average in its update number `num_updates`, from 1 (power: arXiv 2312.02696, section 3.1)."""
    match config:
        case ClassicAverage(decay=decay):
            return min(decay, num_updates / (num_updates + 9))
        case PowerAverage():
            return (1 - 1 / num_updates) ** (exponent_of(float(name)) + 1)
        case _:
            assert_never(config)
