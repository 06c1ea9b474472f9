"""Executors: tasks go in, results come out as they are done, and no failure stops the rest."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from videoldm.core.errors import InputError
from videoldm.curation.config import Limits

T = TypeVar("T")
R = TypeVar("R")


class CannotGoOn(Exception):  # noqa: N818 - it is about the run, not the task
    """Raised by a task when something that it shares with others is broken; ends the run, as does an OutputError."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """A task without a result: its process crashed, hung, grew too large, or raised an error."""

    reason: str
    ends_run: bool = False
    """Whether the run cannot go on."""
    limit: Literal["time_s", "memory_gib"] | None = None
    """The limit that the task exceeded, if any."""


def check_goes_on(result: object) -> None:
    """Raise InputError for a result that ends the run."""
    if isinstance(result, Stopped) and result.ends_run:
        raise InputError(result.reason)


class Executor(Protocol):
    """Runs a function of a module on tasks, each in a process that it may take down."""

    @property
    def num_workers(self) -> int:
        """Number of tasks that run at the same time."""
        ...

    def run(self, function: Callable[[T], R], tasks: Sequence[T], limits: Limits) -> Iterator[tuple[int, R | Stopped]]:
        """Yield the index of each task in `tasks` with its result, in the order in which tasks finish."""
        ...


@contextmanager
def executor_named(
    name: Literal["local", "ray"], *, num_workers: int | None, address: str | None
) -> Generator[Executor]:
    """Open the executor `name` and close it at the end; without `num_workers` it has one worker a core."""
    if name == "ray":
        from videoldm.curation.executors.ray import RayExecutor

        with RayExecutor(num_workers, address=address) as executor:
            yield executor
        return
    from videoldm.curation.executors.local import LocalExecutor

    with LocalExecutor(num_workers) as executor:
        yield executor
