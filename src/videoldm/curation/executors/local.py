"""Workers on this machine: processes that carry out one task at a time and may be lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Literal, TypeVar

from videoldm.core.errors import InputError, OutputError, unexpected
from videoldm.curation.config import Limits
from videoldm.curation.executors.executor import CannotGoOn, Stopped

T = TypeVar("T")
R = TypeVar("R")


LOOK_EVERY_S = 0.2
STARTING_S = 120.0
"""Time that a process may take to start on a busy machine."""
TASKS_PER_PROCESS = 1000
"""A process is replaced after this many tasks, as decoders and their libraries leak a little."""


class LocalExecutor:
    """Runs tasks in worker processes, which are kept from one call of `run` to the next until `close`."""

    def __init__(self, num_workers: int | None = None) -> None:
        self.num_workers = num_workers or len(os.sched_getaffinity(0))
        self._idle = [Worker() for _ in range(self.num_workers)]
        self._busy: dict[int, Worker] = {}

    def run(self, function: Callable[[T], R], tasks: Sequence[T], limits: Limits) -> Iterator[tuple[int, R | Stopped]]:
        """Run the tasks on all workers; those under way are stopped if the caller stops iterating."""
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
            # A caller that stops iterating does not want what is under way.
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


class Worker:
    """A process that carries out one task at a time, replaced when it crashes or is stopped; has to be closed."""

    def __init__(self) -> None:
        self._process: Any = None
        self._pipe: Connection | None = None
        self._limits = Limits()
        self._deadline = 0.0
        self._is_ready = False
        """Whether the process has reported that it has started; a task's time begins only then."""
        self._num_done = 0

    def start(self, function: Callable[[Any], Any], task: Any, limits: Limits) -> None:
        """Start a task; `result` waits for it."""
        if self._process is None or not self._process.is_alive() or self._num_done >= TASKS_PER_PROCESS:
            self._replace()
        assert self._pipe is not None
        self._limits, self._deadline = limits, time.monotonic() + limits.time_s
        if not self._is_ready:
            self._deadline += STARTING_S
        self._num_done += 1
        with contextlib.suppress(BrokenPipeError):  # the process has just died, which `poll` notices
            self._pipe.send((function, task))

    def poll(self, timeout_s: float) -> tuple[Any] | None:
        """Return the result in a tuple, or None if there is none yet."""
        assert self._pipe is not None
        if self._pipe.poll(timeout_s):
            try:
                received = self._pipe.recv()
            except (EOFError, OSError):
                return (self._stop(f"crashed ({self._last_words()})"),)
            if self._is_ready:
                return (received,)
            self._is_ready, self._deadline = True, time.monotonic() + self._limits.time_s
        if time.monotonic() > self._deadline:
            return (self._stop(f"took longer than {self._limits.time_s:g} s", "time_s"),)
        if _resident_bytes(self._process.pid) > self._limits.memory_bytes:
            return (self._stop(f"needed more than {self._limits.memory_gib:g} GiB of memory", "memory_gib"),)
        return None

    def result(self) -> Any:
        """Wait for the task and return the function's value, or Stopped."""
        while True:
            found = self.poll(LOOK_EVERY_S)
            if found is not None:
                return found[0]

    @property
    def pipe(self) -> Connection:
        """Connection that is readable once the result is there or the process has died."""
        assert self._pipe is not None
        return self._pipe

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.pipe.close()
            self._process = self._pipe = None

    def _replace(self) -> None:
        self.close()
        # Not forked: the fork of a process with threads may hang, and decoders have threads.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self._num_done, self._is_ready = 0, False

    def _stop(self, reason: str, limit: Literal["time_s", "memory_gib"] | None = None) -> Stopped:
        self.close()
        return Stopped(reason, limit=limit)

    def _last_words(self) -> str:
        self._process.join(5)
        code = self._process.exitcode
        if code is None:
            return "its pipe is broken"
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _serve(pipe: Connection) -> None:
    """Carry out tasks until the pipe closes; the output of tasks is discarded."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides when to end
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    _one_thread()
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.dup2(null, sys.stderr.fileno())
    pipe.send(None)
    while True:
        try:
            function, task = pipe.recv()
        except (EOFError, OSError):
            return
        pipe.send(outcome(function, task))


def _end_with(parent: int) -> None:
    """Exit when the parent was killed, so that a new run does not meet what this process still writes."""
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY_S)
    os._exit(1)


def outcome(function: Callable[[Any], Any], task: Any) -> Any:
    """Return the function's value, or Stopped if it raises."""
    try:
        return function(task)
    except (OutputError, CannotGoOn) as error:
        return Stopped(str(error), ends_run=True)
    except InputError as error:
        return Stopped(str(error))
    except MemoryError:
        return Stopped("ran out of memory")
    except Exception as error:  # noqa: BLE001 - whatever libraries raise for a broken file stops this file only
        return Stopped(unexpected(error))


def _one_thread() -> None:
    """Use one thread: results must not depend on the number of cores, and there is a worker for each core."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(1)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)


def _resident_bytes(process: int | None) -> int:
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError):
        return 0  # it has ended, or this system has no such file
    return pages * os.sysconf("SC_PAGE_SIZE")
