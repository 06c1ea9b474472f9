"""What a stage gives the loop: a module, a loss for a range of sample numbers, and its validation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Losses of one micro-batch, one value a sample; `sigma` lets the log split diffusion losses by noise level."""

    per_sample: Float[Tensor, " b"]
    sigma: Float[Tensor, " b"] | None = None
    parts: dict[str, Float[Tensor, " b"]] = field(default_factory=dict)


class Objective(Protocol):
    """A training stage.

    `losses(positions)` must be a pure function of the module's weights and the sample numbers: data, noise and dropout
    of a sample follow from (seed, position) alone, which is what makes a resumed run equal an uninterrupted one.
    """

    @property
    def module(self) -> nn.Module:
        """The weights under training."""
        ...

    def losses(self, positions: Sequence[int]) -> Losses:
        """Losses of the samples with these running numbers."""
        ...

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the module as it stands on held-out data, write pictures or clips into `folder`, return numbers."""
        ...

    def export(self, folder: Path) -> None:
        """Write the module's weights and configuration into `folder` for inference."""
        ...
