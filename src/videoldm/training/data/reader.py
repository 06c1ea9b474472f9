"""In which order samples come, and what is done before and beside their use, whatever a stage makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

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


T = TypeVar("T")


class Prefetcher(Generic[T]):
    """Gives what `load` returns for positions, which must follow from these alone; a wrong guess costs time only.

    The next batch is guessed to be as far from this one as this one was from the last, so that a process that takes
    a share of each batch reads no other's ahead.
    """

    def __init__(self, load: Callable[[int], T], *, threads: int, ahead: int) -> None:
        self._load, self._ahead = load, ahead
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reading")
        self._pending: dict[int, Future[T]] = {}
        self._last_start: int | None = None

    def __call__(self, positions: Sequence[int]) -> tuple[list[T], float]:
        """The results of these positions, in their order, and the seconds that it took to wait for them.

        Raises what `load` raised for one of them.
        """
        wanted = [self._submit(position) for position in positions]
        begin = time.monotonic()
        try:
            return [future.result() for future in wanted], time.monotonic() - begin
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Begin to read nothing more."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def announce(self, positions: Sequence[int]) -> None:
        """Say which positions make up the batch that begins now, and have the ones after it read."""
        for position in positions:
            self._submit(position)
        start = positions[0]
        last = self._last_start
        stride = start - last if last is not None and start > last else len(positions)
        self._last_start = start
        batches = max(1, self._ahead // len(positions))
        guessed = [position + turn * stride for turn in range(1, batches + 1) for position in positions]
        for position in guessed:
            self._submit(position)
        kept = {*positions, *guessed}
        for position in [known for known in self._pending if known not in kept]:
            self._pending.pop(position).cancel()

    def _submit(self, position: int) -> Future[T]:
        if position not in self._pending:
            self._pending[position] = self._pool.submit(self._load, position)
        return self._pending[position]
