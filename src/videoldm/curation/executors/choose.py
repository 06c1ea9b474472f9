"""The executor of a name."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal

from videoldm.curation.executors.executor import Executor
from videoldm.curation.executors.local import LocalExecutor


@contextmanager
def executor_named(
    name: Literal["local", "ray"], *, num_workers: int | None, address: str | None
) -> Generator[Executor]:
    """An executor, closed at the end; without `num_workers` it has one worker a core."""
    if name == "ray":
        from videoldm.curation.executors.ray import RayExecutor

        with RayExecutor(num_workers, address=address) as executor:
            yield executor
        return
    with LocalExecutor(num_workers) as executor:
        yield executor
