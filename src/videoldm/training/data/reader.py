"""The order in which samples come, and reading ahead of their use, whatever a stage makes of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from videoldm.dataset.order import sample_index

T = TypeVar("T")


class SampleReader(Protocol):
    """Samples by their running numbers, on which alone their content depends."""

    @property
    def num_skipped(self) -> int:
        """Number of clips that could not be read so far."""
        ...

    def prepare(self) -> None:
        """Make what is kept on disk and is missing; every process calls it before all else."""
        ...

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Return the size of the batch that begins there; None where batches may have any size."""
        ...

    def announce(self, positions: Sequence[int]) -> None:
        """Receive the samples that come next, all of this process's part of a batch, so that later ones are read."""
        ...

    def describe(self, position: int) -> str:
        """Return which clip a sample is of, for people."""
        ...

    def close(self) -> None:
        """Stop reading ahead."""
        ...


class RenderedReader:
    """Reader of rendered clips, all of which are at hand; nothing is read ahead."""

    num_skipped = 0

    def __init__(self, clips: Sequence[int], *, seed: int) -> None:
        self._clips, self._seed = clips, seed

    def clip(self, position: int) -> int:
        """Return the number of the clip that a sample is of."""
        return self._clips[sample_index(self._seed, position, len(self._clips))]

    def prepare(self) -> None:
        """Do nothing: everything is made by now."""

    def batch_size_at(self, samples_seen: int) -> int | None:
        """Return None: a batch may have any size."""
        del samples_seen
        return None

    def announce(self, positions: Sequence[int]) -> None:
        """Do nothing: reading is immediate."""
        del positions

    def describe(self, position: int) -> str:
        """Return the clip's number."""
        return f"rendered clip {self.clip(position)}"

    def close(self) -> None:
        """Do nothing: there are no threads."""


class Prefetcher(Generic[T]):
    """Gives what `load` returns for positions, which must follow from these alone; a wrong guess costs time only.

    The next batch is guessed to be as far from this one as this one was from the last, so a process that takes a share
    of each batch does not read another's ahead.
    """

    def __init__(self, load: Callable[[int], T], *, threads: int, ahead: int) -> None:
        self._load, self._ahead = load, ahead
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="reading")
        self._pending: dict[int, Future[T]] = {}
        self._last_start: int | None = None

    def __call__(self, positions: Sequence[int]) -> tuple[list[T], float]:
        """Return the results of these positions, in their order, and the seconds spent waiting for them.

        Raises what `load` raised for one of them.
        """
        futures = [self._submit(position) for position in positions]
        begin = time.monotonic()
        try:
            return [future.result() for future in futures], time.monotonic() - begin
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop reading ahead."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def announce(self, positions: Sequence[int]) -> None:
        """Read the batch of these positions, which begins now, and the batches after it."""
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
