"""A regression small enough to train in a test, whose data and noise are functions of (seed, position)."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from videoldm.core.random import normal
from videoldm.training.config import SGD, CosineRate, OptimizerConfig, TrainingConfig
from videoldm.training.objective import Losses, Objective, Player

WIDTH = 4


class Stop(Exception):  # noqa: N818 - a signal of the tests
    """Stands for a crash of the process."""


class ToyObjective(Objective):
    """Learns to double its input; `crash_at` is the sample at which it breaks down."""

    def __init__(self, *, seed: int = 0, crash_at: int | None = None, poison_at: int | None = None) -> None:
        torch.manual_seed(seed)
        self.module = nn.Sequential(nn.Linear(WIDTH, 8), nn.SiLU(), nn.Linear(8, WIDTH)).double()
        self._crash_at, self._poison_at = crash_at, poison_at
        self.visited: list[int] = []

    @property
    def players(self) -> list[Player]:
        return [Player("toy", self.module, self.losses)]

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


class ToyContest(ToyObjective):
    """The toy against an adversary that learns to tell its errors from noise, with an optimizer of its own."""

    def __init__(self, *, crash_at: int | None = None) -> None:
        super().__init__(crash_at=crash_at)
        self.judge = nn.Linear(WIDTH, 1).double()
        with torch.no_grad():
            self.judge.weight.copy_(normal((1, WIDTH), 0, "judge"))
            self.judge.bias.zero_()

    @property
    def players(self) -> list[Player]:
        """The generator and its judge."""
        sgd = OptimizerConfig(learning_rate=1e-2, algorithm=SGD())
        return [Player("toy", self.module, self.generator_losses), Player("judge", self.judge, self.judge_losses, sgd)]

    def generator_losses(self, positions: Sequence[int]) -> Losses:
        """The toy's loss and what the judge says of its errors."""
        losses = self.losses(positions)
        verdict = nn.functional.softplus(-self.judge(self._errors(positions)))[:, 0]
        return Losses(per_sample=losses.per_sample + verdict, parts={"verdict": verdict})

    def judge_losses(self, positions: Sequence[int]) -> Losses:
        """Cross-entropy between errors and noise."""
        noise = torch.stack([normal((WIDTH,), 1, "noise", position) for position in positions]).double()
        found, missed = self.judge(noise), self.judge(self._errors(positions).detach())
        return Losses(per_sample=(nn.functional.softplus(-found) + nn.functional.softplus(missed))[:, 0])

    def _errors(self, positions: Sequence[int]) -> torch.Tensor:
        inputs = torch.stack([normal((WIDTH,), 1, "input", position) for position in positions]).double()
        return self.module(inputs) - 2 * inputs


class ToyWithIdleLayer(ToyObjective):
    """A layer of its own takes part in every third batch of 4 only, as layers along time do not where pictures are."""

    def __init__(self) -> None:
        super().__init__()
        self.module.add_module("idle", nn.Linear(WIDTH, WIDTH).double())

    def losses(self, positions: Sequence[int]) -> Losses:
        """Squared error of noisy inputs."""
        inputs = torch.stack([normal((WIDTH,), 1, "input", position) for position in positions]).double()
        *layers, idle = self.module
        outputs = inputs
        for layer in layers:
            outputs = layer(outputs)
        if positions[0] // 4 % 3 == 2:
            outputs = outputs + idle(inputs)
        return Losses(per_sample=(outputs - 2 * inputs).square().mean(dim=1))


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


def assert_close(left: object, right: object, *, tolerance: float) -> None:
    """Nested values are equal, their tensors within `tolerance`."""
    if isinstance(left, torch.Tensor):
        torch.testing.assert_close(left, right, rtol=0, atol=tolerance)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key, value in left.items():
            assert_close(value, right[key], tolerance=tolerance)
    else:
        assert left == right
