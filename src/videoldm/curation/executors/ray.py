"""Workers on a Ray cluster: an actor for each, and in it a disposable process for what may crash or hang."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from videoldm.core.errors import InputError
from videoldm.curation.config import Limits
from videoldm.curation.executors.executor import Stopped
from videoldm.curation.executors.local import Worker

T = TypeVar("T")
R = TypeVar("R")

MAX_TRIES = 3
"""Number of times that a task may lose its actor, such as with its machine, before it counts as the cause."""
LOOK_EVERY_S = 1.0


class _Actor:
    """A worker on the cluster."""

    def __init__(self) -> None:
        self._worker = Worker()

    def run(self, function: Callable[[Any], Any], task: Any, limits: Limits) -> Any:
        """Carry out one task, stopped by the same limits as on one machine."""
        self._worker.start(function, task, limits)
        return self._worker.result()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """An attempt to carry out a task."""

    place: int
    number: int
    """Number of the attempt, from 1."""
    actor: Any


class RayExecutor:
    """Runs tasks on a Ray cluster, whose machines must all see the dataset and its sources under the same paths."""

    def __init__(self, num_workers: int | None = None, *, address: str | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise InputError('--executor ray needs Ray: pip install "videoldm[ray]"') from None
        self._ray: Any = ray
        try:
            # Without an address it runs on this machine, with nothing that connects to the outside.
            local: dict[str, Any] = {"include_dashboard": False, "num_cpus": num_workers} if address is None else {}
            ray.init(address=address or "local", log_to_driver=False, configure_logging=False, **local)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(f"address is {address!r}, no Ray cluster can be reached there: {error}") from None
        # Not more than can run at once: tasks would wait for actors that wait for a free core.
        num_free = max(1, int(ray.available_resources().get("CPU", 1)))
        self.num_workers = min(num_workers or num_free, num_free)
        self._idle: list[Any] = []

    def run(self, function: Callable[[T], R], tasks: Sequence[T], limits: Limits) -> Iterator[tuple[int, R | Stopped]]:
        """Run the tasks on the cluster; a task whose actor is lost is tried again up to `MAX_TRIES` times."""
        waiting = [(place, 1) for place in reversed(range(len(tasks)))]
        busy: dict[Any, _Attempt] = {}
        try:
            while waiting or busy:
                while waiting and len(busy) < self.num_workers:
                    place, number = waiting.pop()
                    actor = self._idle.pop() if self._idle else self._new_actor()
                    busy[actor.run.remote(function, tasks[place], limits)] = _Attempt(place, number, actor)
                done, _ = self._ray.wait(list(busy), num_returns=1, timeout=LOOK_EVERY_S)
                for reference in done:
                    one = busy.pop(reference)
                    try:
                        result = self._ray.get(reference)
                    except self._ray.exceptions.RayActorError:
                        if one.number < MAX_TRIES:
                            waiting.append((one.place, one.number + 1))
                            continue
                        result = Stopped(f"lost its worker {MAX_TRIES} times")
                    else:
                        self._idle.append(one.actor)
                    yield one.place, result
        finally:
            # A caller that stops iterating does not want what is under way.
            for one in busy.values():
                self._ray.kill(one.actor)

    def close(self) -> None:
        """Disconnect from the cluster, or stop the one on this machine."""
        self._idle.clear()
        self._ray.shutdown()

    def _new_actor(self) -> Any:
        return self._ray.remote(num_cpus=1, max_restarts=0)(_Actor).remote()

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
