"""How much a piece of work may take before it is stopped; torch-free."""

from __future__ import annotations

from videoldm.core.config import Config
from videoldm.core.numbers import GIB, Positive


class Limits(Config):
    """Of one piece of work in a disposable process; what exceeds them is stopped, and the run goes on."""

    time_s: Positive = 3600.0
    """By the clock."""
    memory_gib: Positive = 4.0
    """Resident memory of its process."""

    def changed(self, *, time_s: float | None, memory_gib: float | None) -> Limits:
        """With other limits where they are given."""
        return Limits(time_s=time_s or self.time_s, memory_gib=memory_gib or self.memory_gib)

    @property
    def memory_bytes(self) -> float:
        """The same in bytes."""
        return self.memory_gib * GIB
