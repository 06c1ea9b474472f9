"""A progress bar with the time left, for work that takes longer than a moment."""

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
    from rich.console import Console
    from rich.progress import Progress, TaskID

SHOW_AFTER_S = 2.0
LINE_EVERY_S = 30.0


@runtime_checkable
class Advance(Protocol):
    """What `progress` gives to its block."""

    def __call__(self, steps: int = 1) -> None:
        """Report that `steps` more steps are done."""
        ...


@contextlib.contextmanager
def progress(label: str, total: int) -> Generator[Advance]:
    """Show how far the work called `label`, of `total` steps, has come.

    On a terminal a bar appears after two seconds, and bars inside bars are shown below each other; elsewhere a plain
    line is written to stderr every half minute. `silent` switches both off.
    """
    if _SILENT.get():
        yield _ignore
    elif sys.stderr.isatty():
        with _bars() as bars:
            yield _advance_bar(bars, bars.add_task(label, total=total))
    else:
        yield _Lines(label, total)


def notice(line: str) -> None:
    """Write one line of information to stderr, beside any bars; `silent` switches it off too."""
    if _SILENT.get():
        return
    console = _CONSOLE.get()
    if console is None:
        print(line, file=sys.stderr)
    else:
        console.print(line, highlight=False, markup=False)


@contextlib.contextmanager
def silent() -> Generator[None]:
    """Show no progress inside the block, as for `--json`."""
    token = _SILENT.set(True)
    try:
        yield
    finally:
        _SILENT.reset(token)


_SILENT: ContextVar[bool] = ContextVar("silent", default=False)
_CONSOLE: ContextVar[Console | None] = ContextVar("console", default=None)


def _ignore(steps: int = 1) -> None:
    del steps


def _advance_bar(bars: Progress, task: TaskID) -> Advance:
    def advance(steps: int = 1) -> None:
        bars.advance(task, steps)

    return advance


@contextlib.contextmanager
def _bars() -> Generator[Progress]:
    """A display that appears after a moment, below one that is there already."""
    from rich import progress as rich_progress
    from rich.console import Console

    # Displays know of each other, and are drawn below each other, through their common console.
    console = _CONSOLE.get() or Console(stderr=True)
    bars = rich_progress.Progress(
        rich_progress.TextColumn("{task.description}"),
        rich_progress.BarColumn(),
        rich_progress.MofNCompleteColumn(),
        rich_progress.TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
    timer = _start_later(bars.start)
    token = _CONSOLE.set(console)
    try:
        yield bars
    finally:
        _CONSOLE.reset(token)
        timer.cancel()
        timer.join()  # so that the bar cannot appear after it was closed
        bars.stop()


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
