"""All that a run changes: weights, optimizers, averages and how many samples were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.optim import Optimizer

from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.ema import Ema
from videoldm.training.objective import Objective, Player
from videoldm.training.optimizer import build_optimizer


@dataclass(frozen=True)
class Trainee:
    """A player with its optimizer."""

    player: Player
    optimizer: Optimizer
    config: OptimizerConfig

    @property
    def module(self) -> nn.Module:
        """The player's network."""
        return self.player.module


@dataclass
class RunState:
    """What a checkpoint keeps."""

    trainees: Sequence[Trainee]
    ema: Ema
    samples_seen: int = field(default=0)

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
            "ema": self.ema.average,
            "ema_updates": torch.tensor(self.ema.num_updates),
            "samples_seen": torch.tensor(self.samples_seen),
        }

    def restore(self, values: dict[str, Any]) -> None:
        """Take over what `values` gave and a checkpoint was loaded into."""
        for one in self.trainees:
            stored = values["players"][one.player.name]
            one.module.load_state_dict(stored["model"])
            set_optimizer_state_dict(one.module, one.optimizer, stored["optimizer"])
        self.ema.num_updates = int(values["ema_updates"])
        self.samples_seen = int(values["samples_seen"])


def build_state(objective: Objective, config: TrainingConfig) -> RunState:
    """The state of a run that has not begun."""
    trainees: list[Trainee] = []
    for player in objective.players:
        chosen = player.optimizer or config.optimizer
        player.module.train()
        trainees.append(Trainee(player, build_optimizer(player.module, chosen), chosen))
    return RunState(trainees, Ema(trainees[0].module, decay=config.average.decay))
