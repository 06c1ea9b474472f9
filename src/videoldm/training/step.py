"""One step of one player: the gradient of its mean loss over a batch, its norm, and the optimizer's move."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.training.config import TrainingConfig
from videoldm.training.distributed import is_sharded, local, synchronised
from videoldm.training.folder import DIVERGED
from videoldm.training.log import Clock, Meter
from videoldm.training.objective import Losses, Objective
from videoldm.training.optimizer import learning_rate, set_learning_rate
from videoldm.training.state import RunState, Trainee, called_through


@dataclass(frozen=True)
class _MicroBatch:
    """Samples with their losses and noise levels."""

    positions: Sequence[int]
    losses: Tensor
    sigma: Tensor | None


@dataclass
class Stepper:
    """Takes the steps of a run; losses go to `meter`, waiting to `clock`, a batch that diverges to `folder`."""

    config: TrainingConfig
    state: RunState
    objective: Objective
    meter: Meter
    clock: Clock
    folder: Path

    def step(self, trainee: Trainee, positions: range) -> dict[str, float]:
        """Move one player by the samples at `positions`; return gradient norms and learning rate for the log.

        Raises FloatingPointError, in all processes and before the optimizer moves, when a gradient is not finite.
        """
        for one in self.state.trainees:  # a player's loss may have gradients for the others too
            one.optimizer.zero_grad(set_to_none=True)
        with _garbage_kept():
            computed = self._backward(trainee, positions)
        norms = self._clip(trainee, computed)
        rate = learning_rate(
            trainee.config,
            samples_seen=self.state.samples_seen,
            batch_size=len(positions),
            num_samples=self.config.num_samples,
        )
        set_learning_rate(trainee.optimizer, rate)
        trainee.optimizer.step()
        figures = {"gradient_norm" + (name and f"/{name}"): norm for name, norm in norms.items()}
        return {self._prefix(trainee) + name: value for name, value in (figures | {"learning_rate": rate}).items()}

    def _backward(self, trainee: Trainee, positions: range) -> list[_MicroBatch]:
        """Accumulate the gradient of the mean loss; gradients are exchanged with the last micro-batch only."""
        size = micro_batch_size(len(positions), self.config)
        computed: list[_MicroBatch] = []
        for start in range(0, len(positions), size):
            part = ranks.local_share(positions[start : start + size])
            with synchronised(trainee.called, when=start + size == len(positions)):
                with torch.autocast(
                    self.state.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16"
                ):
                    losses = self._losses(trainee, part)
                # Gradients are averaged over the processes.
                (losses.per_sample.sum() * (ranks.world_size() / len(positions))).backward()
            self._log(trainee, losses)
            computed.append(_MicroBatch(part, losses.per_sample.detach(), losses.sigma))
        return computed

    def _losses(self, trainee: Trainee, positions: Sequence[int]) -> Losses:
        def run() -> dict[str, Any]:
            losses = trainee.player.losses(positions)
            # Values that are only logged must not look as if they took part in the gradient.
            return vars(losses) | {"parts": {name: part.detach() for name, part in losses.parts.items()}}

        return Losses(**called_through(trainee, self.state.trainees, run))

    def _log(self, trainee: Trainee, losses: Losses) -> None:
        prefix = self._prefix(trainee)
        self.clock.waited(losses.waiting_s)
        self.meter.add(f"{prefix}loss", losses.per_sample)
        if losses.sigma is not None and not prefix:
            self.meter.add_by_sigma(losses.per_sample, losses.sigma)
        for name, values in losses.parts.items():
            self.meter.add(f"{prefix}{name}", values)

    def _clip(self, trainee: Trainee, computed: Sequence[_MicroBatch]) -> dict[str, float]:
        """Clip the gradient; return its norms before that: of all parameters, as '', and of each of several groups."""
        parameters = trainee.parameters
        fill_missing(parameters.values())
        is_first = trainee is self.state.first
        norms = gradient_norms(parameters, self.objective.group_of if is_first else lambda _: "other")
        if not math.isfinite(norms[""]):
            raise self._divergence(trainee, norms, computed)
        limit(parameters.values(), norms[""], self.config.gradient_clip)
        return norms if len(norms) > 2 else {"": norms[""]}

    def _divergence(
        self, trainee: Trainee, norms: Mapping[str, float], computed: Sequence[_MicroBatch]
    ) -> FloatingPointError:
        """Write the samples of all processes to a file, and return the error that names it."""
        samples_seen = self.state.samples_seen
        rows = ranks.all_gather(_rows(computed, self.objective.describe))
        samples = [sample for of_rank in rows for sample in of_rank]
        path = self.folder / DIVERGED.format(f"{samples_seen:012d}")
        content = {
            "player": trainee.player.name,
            "samples_seen": samples_seen,
            "gradient_norms": {name or "all": _number(norm) for name, norm in norms.items()},
            "samples": samples,
        }
        ranks.on_first(lambda: write_json(path, content))
        bad = [sample for sample in samples if isinstance(sample["loss"], str)]
        of_which = f", the loss of sample {_named(bad[0])} is not finite" if bad else ""
        return FloatingPointError(
            f"gradient norm is {norms['']} after {samples_seen} samples{of_which}; the weights were not changed, the "
            f"batch is listed in {path}"
        )

    def _prefix(self, trainee: Trainee) -> str:
        """Return what stands before the names of an adversary's values in the log."""
        return "" if trainee is self.state.first else f"{trainee.player.name}/"


@contextmanager
def _garbage_kept() -> Generator[None]:
    """Collect no garbage within the context, whatever thread would.

    A tensor shows the collector the graph behind it only while nothing else holds that graph (torch 2.13). So a thread
    that collects while an operation extends the graph can take a part in use for garbage: it survives, but its weak
    references are cleared, among them the one by which DDP finds itself in the backward pass.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def micro_batch_size(batch_size: int, config: TrainingConfig) -> int:
    """Return the number of samples that all processes compute at once; raise InputError for uneven shares."""
    parts = config.accumulation_steps * ranks.world_size()
    if batch_size % parts:
        raise InputError(
            f"a batch of {batch_size} is not a multiple of {parts}: training.accumulation_steps "
            f"({config.accumulation_steps}) x processes ({ranks.world_size()})"
        )
    return batch_size // config.accumulation_steps


def fill_missing(parameters: Iterable[Tensor]) -> None:
    """Give parameters that the batch did not use a gradient of zero, so that they count steps as the others do."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def gradient_norms(parameters: dict[str, Tensor], group_of: Callable[[str], str]) -> dict[str, float]:
    """Return the norm of each group's gradient, and under the name '' that of all."""
    groups: dict[str, list[Tensor]] = {}
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        groups.setdefault(group_of(name), []).append(local(parameter.grad))
    squares = torch.stack([get_total_norm(groups[name]).double().square() for name in sorted(groups)])
    if is_sharded(parameters.values()):
        squares = ranks.all_sum(squares)
    squares = squares.cpu()
    return {"": float(squares.sum().sqrt())} | dict(zip(sorted(groups), squares.sqrt().tolist(), strict=True))


def limit(parameters: Iterable[Tensor], norm: float, largest: float) -> None:
    """Scale a gradient of this norm down to the largest norm that is allowed."""
    if norm <= largest:
        return
    gradients = [local(parameter.grad) for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, largest / norm)  # pyright: ignore[reportPrivateUsage] - one launch for all


def _rows(computed: Sequence[_MicroBatch], describe: Callable[[int], str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for part in computed:
        sigmas = [None] * len(part.positions) if part.sigma is None else part.sigma.tolist()
        for position, loss, sigma in zip(part.positions, part.losses.tolist(), sigmas, strict=True):
            row = {"position": position, "clip": describe(position), "rank": ranks.rank(), "loss": _number(loss)}
            rows.append(row if sigma is None else row | {"sigma": _number(sigma)})
    return rows


def _named(sample: Mapping[str, Any]) -> str:
    return f"{sample['position']} ({sample['clip']})" if sample["clip"] else str(sample["position"])


def _number(value: float) -> float | str:
    """Write a value that is not finite as text: JSON has no NaN."""
    return value if math.isfinite(value) else str(value)
