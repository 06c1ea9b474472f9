"""How much a piece of work may take before it is stopped; torch-free."""

from videoldm.core.config import Config
from videoldm.core.numbers import GIB, Positive


class Limits(Config):
    """Of one piece of work in a disposable process; what exceeds them is stopped, and the run goes on."""

    time_s: Positive = 3600.0
    """By the clock."""
    memory_gib: Positive = 4.0
    """Resident memory of its process."""

    @property
    def memory_bytes(self) -> float:
        """The same in bytes."""
        return self.memory_gib * GIB
