"""Samples read by threads before they are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

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
