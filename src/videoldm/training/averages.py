"""Moving averages of the trained weights, and averages of other lengths made from snapshots after training.

Karras et al., Analyzing and Improving the Training Dynamics of Diffusion Models (arXiv 2312.02696), section 3.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.training.config import ClassicAverage, PowerAverage
from videoldm.training.distributed import local, whole
from videoldm.training.folder import SNAPSHOTS


class Averages:
    """One or several moving averages of a network's trainable parameters, which may lie in shards.

    The first is what `applied` puts in place. `values` holds each by its name, with a tensor for each parameter.
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
        """Lengths of the power-function averages by name."""
        match self.config:
            case PowerAverage(lengths=lengths):
                return dict(zip(self.values, lengths, strict=True))
            case ClassicAverage():
                return {}

    @property
    def snapshot_every_samples(self) -> int:
        """Number of samples between snapshots."""
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
        """Put the first average into the network within the context."""
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
    """Return the exponent of the power profile with that relative standard deviation (section 3.1)."""
    inverse = length**-2
    return float(np.roots([1, 7, 16 - inverse, 12 - inverse]).real.max())


@dataclass(frozen=True)
class Profile:
    """Weight that an average gives to the moments of training: proportional to t ** exponent, from 0 to `end`."""

    exponent: float
    end: float

    def overlap(self, other: Profile) -> float:
        """Return the integral of the product of both, each of integral 1 (appendix C)."""
        a, b, until = self.exponent, other.exponent, min(self.end, other.end)
        scale = (a + 1) * (b + 1) / (a + b + 1)
        return scale * (until / self.end) ** a * (until / other.end) ** b / max(self.end, other.end)


def save_snapshots(folder: Path, averages: Averages, samples_seen: int) -> None:
    """Write each power-function average, whole and in 32 bits; every process calls it."""
    for name, length in averages.lengths.items():
        values = {key: whole(value) for key, value in averages.values[name].items()}
        path = folder / SNAPSHOTS / f"{samples_seen:012d}-{name}.safetensors"
        metadata = {"num_updates": str(averages.num_updates), "length": str(length)}
        ranks.on_first(lambda: _write(path, values, metadata))  # noqa: B023 - called at once


def averaged_over(folder: Path, length: float, samples_seen: int | None = None) -> dict[str, Tensor]:
    """Return the average of a run's weights at `samples_seen`, by default at the last snapshot, with that length.

    Least squares in the profiles over all snapshots up to then (section 3.2). Raises InputError if there are none.
    """
    paths = sorted((folder / SNAPSHOTS).glob("*.safetensors"))
    if not paths:
        raise InputError(f"{folder}: keeps no snapshots of averages; training.average.kind=power makes them")
    until = max(_samples(path) for path in paths) if samples_seen is None else samples_seen
    paths = [path for path in paths if _samples(path) <= until]
    if not any(_samples(path) == until for path in paths):
        raise InputError(f"{folder / SNAPSHOTS}: holds no snapshots of {until} samples")
    profiles = [_profile(path) for path in paths]
    target = Profile(exponent_of(length), max(profile.end for profile in profiles))
    result: dict[str, Tensor] = {}
    for path, weight in zip(paths, combination(profiles, target), strict=True):
        with safe_open(path, "pt") as stored:
            for key in stored.keys():  # noqa: SIM118 - it is not a dict
                part = stored.get_tensor(key).double() * weight
                result[key] = result[key].add_(part) if key in result else part
    return {key: value.float() for key, value in result.items()}


def combination(profiles: Sequence[Profile], target: Profile) -> list[float]:
    """Return the weights with which a sum of `profiles` comes nearest to `target`."""
    products = np.array([[one.overlap(other) for other in profiles] for one in profiles])
    overlaps = np.array([one.overlap(target) for one in profiles])
    return np.linalg.lstsq(products, overlaps, rcond=None)[0].tolist()


def _names(config: ClassicAverage | PowerAverage) -> list[str]:
    match config:
        case ClassicAverage():
            return ["classic"]
        case PowerAverage(lengths=lengths):
            return [f"{length:g}" for length in lengths]
        case _:
            assert_never(config)


def _decay(config: ClassicAverage | PowerAverage, name: str, num_updates: int) -> float:
    """Return the share of the average that stays in update number `num_updates`, from 1 (power: section 3.1)."""
    match config:
        case ClassicAverage(decay=decay):
            return min(decay, num_updates / (num_updates + 9))
        case PowerAverage():
            return (1 - 1 / num_updates) ** (exponent_of(float(name)) + 1)
        case _:
            assert_never(config)


def _write(path: Path, values: dict[str, Tensor], metadata: dict[str, str]) -> None:
    with atomic_file(path) as partial:
        save_file({key: value.float().contiguous() for key, value in values.items()}, partial, metadata=metadata)


def _samples(path: Path) -> int:
    return int(path.name.split("-")[0])


def _profile(path: Path) -> Profile:
    with safe_open(path, "pt") as stored:
        metadata = stored.metadata()
    return Profile(exponent_of(float(metadata["length"])), float(metadata["num_updates"]))
