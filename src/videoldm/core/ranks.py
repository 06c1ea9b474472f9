"""Which of the processes that work together this one is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rank:
    """Process `index` of `count`; the default is a single process."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"rank {self.index} of {self.count} does not exist, it should be 0 to {self.count - 1}")

    @property
    def is_main(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.index == 0
