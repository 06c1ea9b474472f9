"""Interface between a stage and the loop: networks with the losses of samples by number, validation, export."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import Float
from torch import Tensor, nn

from videoldm.training.config import OptimizerConfig
from videoldm.training.data.reader import SampleReader


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Losses of one micro-batch, one value a sample; `sigma` lets the log split diffusion losses by noise level.

    `waiting_s` is the time spent waiting for data, in which nothing was computed.
    """

    per_sample: Float[Tensor, " b"]
    sigma: Float[Tensor, " b"] | None = None
    parts: dict[str, Float[Tensor, " b"]] = field(default_factory=dict)
    waiting_s: float = 0.0


@dataclass(frozen=True)
class Player:
    """A network under training, with an optimizer of its own: one in most stages, two where an adversary is trained.

    `losses(positions)` must be a pure function of the weights and the sample numbers: data, noise and dropout of a
    sample follow from (seed, position) alone, which is what makes a resumed run equal an uninterrupted one, and many
    processes one. Only parameters that require gradients are optimized. Without `optimizer`, the run's is used.
    """

    name: str
    module: nn.Module
    losses: Callable[[Sequence[int]], Losses]
    optimizer: OptimizerConfig | None = None
    blocks: Sequence[nn.Module] = ()
    """Parts of the module, in order, that are sharded, compiled and recomputed one by one."""


class Objective(ABC):
    """A training stage at work."""

    readers: Sequence[SampleReader] = ()
    """Readers of the data to train on and of held-out data; none where nothing is read ahead."""

    def prepare(self) -> None:
        """Prepare data before the first step; every process calls it."""
        for reader in self.readers:
            reader.prepare()

    def close(self) -> None:
        """Stop reading ahead."""
        for reader in self.readers:
            reader.close()

    def describe(self, position: int) -> str:
        """Return which clip the sample of that number is of, for people who look for an error; may be empty."""
        return self.readers[0].describe(position) if self.readers else ""

    def skipped(self) -> dict[str, float]:
        """Return the number of training clips that could not be read so far, for the log; empty if all could."""
        number = self.readers[0].num_skipped if self.readers else 0
        return {"skipped_clips": float(number)} if number else {}

    @property
    @abstractmethod
    def players(self) -> Sequence[Player]:
        """Networks in the order in which a step trains them; the first one's weights are averaged and exported."""

    @abstractmethod
    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the current weights on held-out data, write pictures or clips into `folder`, return numbers."""

    def measure(self) -> None:  # noqa: B027 - most stages measure nothing
        """Measure what an export says of the averaged weights, beside them; every process calls it before `export`."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the first player's weights and configuration into `folder` for inference."""

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Return the size of the batch that begins at sample `samples_seen`; None for the run's."""
        return self.readers[0].batch_size_at(samples_seen) if self.readers else None

    def group_of(self, parameter: str) -> str:
        """Return the group in whose gradient norm a parameter of the first player is counted."""
        del parameter
        return "other"
