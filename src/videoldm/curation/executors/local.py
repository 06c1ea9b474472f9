"""Workers on this machine, as many as there are cores."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import wait
from typing import Any, TypeVar

from videoldm.curation.executors.config import Limits
from videoldm.curation.executors.executor import Stopped
from videoldm.curation.executors.worker import LOOK_EVERY_S, Worker

T = TypeVar("T")
R = TypeVar("R")


class LocalExecutor:
    """See `Executor`; its processes are kept from one call of `run` to the next, so close it."""

    def __init__(self, num_workers: int | None = None) -> None:
        self.num_workers = num_workers or len(os.sched_getaffinity(0))
        self._idle = [Worker() for _ in range(self.num_workers)]
        self._busy: dict[int, Worker] = {}

    def run(self, function: Callable[[T], R], tasks: Sequence[T], limits: Limits) -> Iterator[tuple[int, R | Stopped]]:
        """See `Executor`."""
        waiting = iter(enumerate(tasks))
        try:
            while True:
                while self._idle and (following := next(waiting, None)) is not None:
                    place, task = following
                    worker = self._idle.pop()
                    worker.start(function, task, limits)
                    self._busy[place] = worker
                if not self._busy:
                    return
                wait([worker.pipe for worker in self._busy.values()], LOOK_EVERY_S)
                yield from self._finished()
        finally:
            # Whoever stops listening does not want what is under way.
            for worker in self._busy.values():
                worker.close()
            self._idle += self._busy.values()
            self._busy.clear()

    def _finished(self) -> list[tuple[int, Any]]:
        done: list[tuple[int, Any]] = []
        for place, worker in list(self._busy.items()):
            found = worker.poll(0)
            if found is not None:
                done.append((place, found[0]))
                self._idle.append(self._busy.pop(place))
        return done

    def close(self) -> None:
        """End all processes."""
        for worker in self._idle:
            worker.close()

    def __enter__(self) -> LocalExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self.close()
