"""All that a run changes: weights, optimizers, averages and how many samples were seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict
from torch.optim import Optimizer

from videoldm.training.config import OptimizerConfig, Sharded, TrainingConfig
from videoldm.training.distributed import blueprint, distribute, is_sharded
from videoldm.training.ema import Averages
from videoldm.training.objective import Objective, Player
from videoldm.training.optimizer import build_optimizer, restore_optimizer

T = TypeVar("T")


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
        """The parameters under training, by name."""
        return {name: p for name, p in self.module.named_parameters() if p.requires_grad}


@dataclass
class RunState:
    """What a checkpoint keeps, and where it is computed."""

    trainees: Sequence[Trainee]
    averages: Averages
    device: torch.device
    blueprint: nn.Module | None
    """Of the first player's network, where that is sharded."""
    samples_seen: int = field(default=0)

    @property
    def first(self) -> Trainee:
        """Whose weights are averaged and exported."""
        return self.trainees[0]

    def values(self) -> dict[str, Any]:
        """Everything by name; the tensors are the run's own, so that loading into them restores it."""
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
        """Take over what `values` gave and a checkpoint was loaded into."""
        for one in self.trainees:
            stored = values["players"][one.player.name]
            one.module.load_state_dict(stored["model"])
            restore_optimizer(one.module, one.optimizer, stored["optimizer"])
        self.averages.num_updates = int(values["num_updates"])
        self.samples_seen = int(values["samples_seen"])


def build_state(objective: Objective, config: TrainingConfig, device: torch.device | str = "cpu") -> RunState:
    """The state of a run that has not begun; shards, compiles and the like happen to the networks here."""
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
    """What `function`, a loss of `trainee`, returns where the networks that it uses are at hand."""
    # An adversary's shards are gathered too. Where it is replicated it must not wait for gradients that never come.
    others = [one for one in trainees if one is not trainee and is_sharded(one.module.parameters())]
    for one in others:
        function = partial(one.called, function)
    return trainee.called(function)
