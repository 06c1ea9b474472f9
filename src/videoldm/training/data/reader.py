"""In which order samples come, and what is done before and beside their use, whatever a stage makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from videoldm.dataset.order import sample_index


class SampleReader(Protocol):
    """Samples by their running numbers. What comes follows from these alone."""

    @property
    def num_skipped(self) -> int:
        """How many clips could not be read so far."""
        ...

    def prepare(self) -> None:
        """Make what is kept on the disk and not there yet; every process calls it before all else."""
        ...

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Size of the batch that begins there; None where all batches may have any size."""
        ...

    def announce(self, positions: Sequence[int]) -> None:
        """Say which samples come next, all those of this process's part of a batch, so that later ones are read."""
        ...

    def describe(self, position: int) -> str:
        """Which clip a sample is of, for people."""
        ...

    def close(self) -> None:
        """Begin to read nothing more."""
        ...


class RenderedReader:
    """See `SampleReader`: clips of a world, of which all are at hand."""

    num_skipped = 0

    def __init__(self, clips: Sequence[int], *, seed: int) -> None:
        self._clips, self._seed = clips, seed

    def clip(self, position: int) -> int:
        """The number of the clip that a sample is of."""
        return self._clips[sample_index(self._seed, position, len(self._clips))]

    def prepare(self) -> None:
        """Nothing is left to be made."""

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Any."""
        del samples_seen
        return None

    def announce(self, positions: Sequence[int]) -> None:
        """Nothing is read ahead."""
        del positions

    def describe(self, position: int) -> str:
        """See `SampleReader`."""
        return f"rendered clip {self.clip(position)}"

    def close(self) -> None:
        """Nothing is read ahead."""
