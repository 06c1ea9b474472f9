"""A regression small enough to train in a test, whose data and noise are functions of (seed, position)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from videoldm.core.random import normal
from videoldm.training.config import CosineRate, OptimizerConfig, TrainingConfig
from videoldm.training.objective import Losses

WIDTH = 4


class Stop(Exception):  # noqa: N818 - a signal of the tests
    """Stands for a crash of the process."""


class ToyObjective:
    """Learns to double its input; `crash_at` is the sample at which it breaks down."""

    def __init__(self, *, seed: int = 0, crash_at: int | None = None, poison_at: int | None = None) -> None:
        torch.manual_seed(seed)
        self.module = nn.Sequential(nn.Linear(WIDTH, 8), nn.SiLU(), nn.Linear(8, WIDTH)).double()
        self._crash_at, self._poison_at = crash_at, poison_at
        self.visited: list[int] = []

    def losses(self, positions: Sequence[int]) -> Losses:
        """Squared error of noisy inputs."""
        if self._crash_at in positions:
            raise Stop
        self.visited += positions
        inputs = torch.stack([normal((WIDTH,), 1, "input", position) for position in positions]).double()
        loss = (self.module(inputs) - 2 * inputs).square().mean(dim=1)
        if self._poison_at in positions:
            loss = loss * float("nan")
        return Losses(per_sample=loss, sigma=inputs[:, 0].abs().float())

    def validate(self, folder: Path) -> dict[str, float]:
        """The loss of fixed inputs."""
        loss = float(self.losses(range(10_000, 10_008)).per_sample.mean())
        (folder / "done.txt").write_text("done")
        return {"loss": loss}

    def export(self, folder: Path) -> None:
        """Write the weights."""
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(self.module.state_dict(), folder / "weights.pt")


def toy_training(**changes: object) -> TrainingConfig:
    """A short run with several logs, validations and checkpoints."""
    config = TrainingConfig(
        num_samples=64,
        batch_size=4,
        optimizer=OptimizerConfig(learning_rate=1e-2, warmup_samples=8, decay=CosineRate()),
        log_every_samples=4,
        validate_every_samples=32,
        checkpoint_every_samples=12,
    )
    return config.model_copy(update=changes)
