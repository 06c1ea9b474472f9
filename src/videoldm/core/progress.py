"""Progress bars with the remaining time, notices beside them, and a way to silence both."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SHOW_AFTER_S = 2.0
LINE_EVERY_S = 30.0


@runtime_checkable
class Advance(Protocol):
    """The callback that `progress` yields."""

    def __call__(self, steps: int = 1) -> None:
        """Report that `steps` more steps are done."""
        ...


@contextlib.contextmanager
def progress(label: str, total: int) -> Generator[Advance]:
    """Show the progress of the work called `label`, of `total` steps.

    On a terminal a bar appears after two seconds, nested bars below each other; elsewhere a plain line is written to
    stderr every half minute. `silent` switches both off.
    """
    if _SILENT.get():
        yield _ignore
    elif sys.stderr.isatty():
        with _bar(label, total) as advance:
            yield advance
    else:
        yield _Lines(label, total)


def notice(line: str) -> None:
    """Write one line of information to stderr, above any bars; `silent` switches it off too."""
    if _SILENT.get():
        return
    bars = _BARS.get()
    if bars is None:
        print(line, file=sys.stderr)
    else:
        bars.console.print(line, highlight=False, markup=False)


@contextlib.contextmanager
def hide_transformers_bars() -> Generator[None]:
    """Hide the bars that transformers draws for each model that it reads or writes."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()


@contextlib.contextmanager
def silent() -> Generator[None]:
    """Show no progress and no notices inside the block, as for `--json`."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


_SILENT: ContextVar[bool] = ContextVar("silent", default=False)
_BARS: ContextVar[Progress | None] = ContextVar("bars", default=None)


def _ignore(steps: int = 1) -> None:
    del steps


@contextlib.contextmanager
def _bar(label: str, total: int) -> Generator[Advance]:
    """Show a bar after a short delay, below those already on display."""
    with _display() as bars:
        task = bars.add_task(label, total=total, visible=False)
        timer = _start_later(lambda: _show(bars, task))

        def advance(steps: int = 1) -> None:
            bars.advance(task, steps)

        try:
            yield advance
        finally:
            timer.cancel()
            timer.join()  # so that the bar cannot appear after it was closed
            bars.remove_task(task)


@contextlib.contextmanager
def _display() -> Generator[Progress]:
    """Yield the current display of bars, or a new one for the first bar."""
    present = _BARS.get()
    if present is not None:
        yield present
        return
    from rich import progress as rich_progress
    from rich.console import Console

    bars = rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
    token = _BARS.set(bars)
    try:
        yield bars
    finally:
        _BARS.reset(token)
        bars.stop()


def _show(bars: Progress, last: TaskID) -> None:
    """Show a bar and those around it, whose own timers may fire late on a busy machine."""
    for task in bars.tasks:
        if task.id <= last:
            bars.update(task.id, visible=True)
    bars.start()


def _start_later(start: Callable[[], None]) -> threading.Timer:
    timer = threading.Timer(SHOW_AFTER_S, start)
    timer.daemon = True
    timer.start()
    return timer


@dataclass
class _Lines:
    """Progress as an occasional line of text, for log files."""

    label: str
    total: int
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    last_line: float = field(default_factory=time.monotonic)

    def __call__(self, steps: int = 1) -> None:
        self.done += steps
        now = time.monotonic()
        if now - self.last_line < LINE_EVERY_S:
            return
        self.last_line = now
        left_s = (now - self.started) / max(self.done, 1) * max(self.total - self.done, 0)
        print(f"{self.label}: {self.done} of {self.total}, {left_s:.0f} s left", file=sys.stderr, flush=True)
