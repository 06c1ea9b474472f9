"""State of a run (weights, optimizers, averages, samples seen) and its checkpoints."""

from __future__ import annotations

import re
import shutil
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar, cast

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor, nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only

from videoldm.core import ranks
from videoldm.core.files import atomic_folder, remove_partials
from videoldm.training.averages import Averages
from videoldm.training.config import OptimizerConfig, Sharded, TrainingConfig
from videoldm.training.distributed import blueprint, distribute, is_sharded
from videoldm.training.objective import Objective, Player
from videoldm.training.optimizer import build_optimizer, restore_optimizer

T = TypeVar("T")

KEPT_CHECKPOINTS = 2


@dataclass(frozen=True)
class Trainee:
    """A player with its optimizer; functions that use its network are called through `called`."""

    player: Player
    called: nn.Module
    optimizer: Optimizer
    config: OptimizerConfig

    @property
    def module(self) -> nn.Module:
        """The player's network."""
        return self.player.module

    @property
    def parameters(self) -> dict[str, Tensor]:
        """The trained parameters by name."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}


@dataclass
class RunState:
    """Everything that a checkpoint keeps, and the device that computes it."""

    trainees: Sequence[Trainee]
    averages: Averages
    device: torch.device
    blueprint: nn.Module | None
    """Copy of the first player's network without memory, where the network is sharded."""
    samples_seen: int = field(default=0)

    @property
    def first(self) -> Trainee:
        """The trainee whose weights are averaged and exported."""
        return self.trainees[0]

    def values(self) -> dict[str, Any]:
        """Return everything by name; the tensors are the run's own, so loading into them restores it."""
        return {
            "players": {
                one.player.name: {
                    "model": one.module.state_dict(),
                    "optimizer": get_optimizer_state_dict(one.module, one.optimizer),
                }
                for one in self.trainees
            },
            "averages": self.averages.values,
            "num_updates": torch.tensor(self.averages.num_updates),
            "samples_seen": torch.tensor(self.samples_seen),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Take over values of which `values` gave the tensors that a checkpoint was loaded into."""
        for one in self.trainees:
            stored = values["players"][one.player.name]
            one.module.load_state_dict(stored["model"])
            restore_optimizer(one.module, one.optimizer, stored["optimizer"])
        self.averages.num_updates = int(values["num_updates"])
        self.samples_seen = int(values["samples_seen"])


def build_state(objective: Objective, config: TrainingConfig, device: torch.device | str = "cpu") -> RunState:
    """Return the state of a run that has not begun; here its networks are sharded, compiled and so on."""
    device = torch.device(device)
    precision = getattr(torch, config.precision)
    trainees: list[Trainee] = []
    players = objective.players
    is_sharded = isinstance(config.execution.distributed, Sharded)
    plain = blueprint(players[0].module) if is_sharded else None
    for player in players:
        chosen = player.optimizer or config.optimizer
        player.module.train()
        called = distribute(player, config.execution, precision=precision, device=device)
        trainees.append(Trainee(player, called, build_optimizer(player.module, chosen), chosen))
    return RunState(trainees, Averages(trainees[0].module, config.average), device, plain)


def called_through(trainee: Trainee, trainees: Sequence[Trainee], function: Callable[[], T]) -> T:
    """Return what `function`, a loss of `trainee`, gives where the networks that it uses are at hand."""
    # An adversary's shards are gathered too. Where it is replicated it must not wait for gradients that never come.
    others = [one for one in trainees if one is not trainee and is_sharded(one.module.parameters())]
    for one in others:
        function = partial(one.called, function)
    return trainee.called(function)


class Checkpoints:
    """Checkpoints of a run, each whole or missing, in a folder that all processes see.

    A checkpoint is written while training continues; its failure is raised by the next `save` or at the end of the
    context.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None
        # A group of its own, so that messages of writing and of training do not mix.
        self._group = cast("dist.ProcessGroup", dist.new_group(backend="gloo")) if dist.is_initialized() else None
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # one process needs no group

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:  # another error matters more
            self._wait()

    def load(self, state: RunState) -> None:
        """Restore the newest checkpoint into `state`, however many processes wrote it; do nothing if there is none."""
        newest = ranks.on_first(lambda: self._finished()[-1:])
        if not newest:
            return
        values = state.values()
        dcp.load(values, checkpoint_id=newest[0], process_group=self._group)
        state.restore(values)

    def save(self, state: RunState) -> None:
        """Begin to write the state as it is now; when that is done, all but the newest checkpoints are removed."""
        self._wait()
        values = tree_map_only(Tensor, _copy, state.values())
        self._writing = self._thread.submit(self._write, values, self._folder / f"{state.samples_seen:012d}")

    def raise_failure(self) -> None:
        """Raise the failure of a checkpoint as soon as it is known; with several processes, only `save` does."""
        if ranks.world_size() == 1 and self._writing is not None and self._writing.done():
            self._wait()

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, values: dict[str, Any], target: Path) -> None:
        with ExitStack() as stack:
            partial = ranks.on_first(lambda: stack.enter_context(atomic_folder(self._cleared(target))), self._group)
            try:
                dcp.save(values, checkpoint_id=partial, process_group=self._group)
            except CheckpointException as error:
                raise _first_failure(error) from error
        if ranks.is_first():
            for old in self._finished()[:-KEPT_CHECKPOINTS]:
                shutil.rmtree(old)

    def _cleared(self, target: Path) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_partials(self._folder)
        return target

    def _finished(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if re.fullmatch(r"\d{12}", path.name))


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _first_failure(error: CheckpointException) -> BaseException:
    """Return the failure of the first process that had one; only the first process of all reports it."""
    if not ranks.is_first():
        return ranks.OtherRankFailed()
    failure, _ = error.failures[min(error.failures)]
    return failure
