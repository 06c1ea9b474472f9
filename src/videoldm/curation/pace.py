"""The stages of a run while they are under way: progress bars, throughput, and the time left for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

from videoldm.core.progress import Advance, notice, progress
from videoldm.curation.status import Lacking, Rate, Stage, duration, estimate, lacking, read_rates, write_rates
from videoldm.curation.store.batches import Batch
from videoldm.curation.store.dataset import Dataset

WORTH_TELLING_S = 2.0
LEAST_S, LEAST_STEPS = 10.0, 64
"""A stage is timed when it has run for so long or done so much; less says little about the rest."""
LEAST_LEFT_S = 60.0
TELL_EVERY_S, TELL_EVERY_SHARE = 600.0, 0.1
"""The time left is told again after so long, and after so much of itself."""

Clock = Callable[[], float]


class Done(Protocol):
    """What `Pace.stage` gives to its block."""

    def __call__(self, steps: int, units: int, *, num_lost: int = 0) -> None:
        """Report files or clips that are done, their units of work, and how many of them got no value."""
        ...


@contextmanager
def told(label: str, total: int, kind: str, clock: Clock = time.monotonic) -> Generator[Advance]:
    """A progress bar, and at the end how fast it went if it took a while; `kind` is what there are `total` of."""
    start = clock()
    with progress(label, total) as advance:
        yield advance
    tell_throughput(label, total, kind, clock() - start)


def tell_throughput(label: str, num_done: int, kind: str, seconds: float, *, num_lost: int = 0) -> None:
    """How fast a stage went if it took a while; `num_lost` of those done got no value and do not count."""
    num_made = num_done - num_lost
    if num_made and seconds >= WORTH_TELLING_S:
        lost = f"; {num_lost} more got no value" if num_lost else ""
        notice(f"{label}: {num_made} {kind} in {duration(seconds)}, {_throughput(num_made / seconds)}{lost}")


class Pace:
    """Times stages; what it measures is kept with the dataset, so that the next run and `status` know it."""

    def __init__(self, dataset: Dataset, stages: Sequence[Stage], *, num_workers: int, clock: Clock) -> None:
        self._dataset = dataset
        self._stages = {stage.name: stage for stage in stages}
        self._num_workers = num_workers
        self._clock = clock
        self._rates = read_rates(dataset.folder)
        self._next_line = -inf
        self._num_unknown = inf
        """Stages that the last line could say nothing of."""
        self.batches: Sequence[Batch] = ()
        """All that the run has to do with, once they are read."""

    @property
    def is_known(self) -> bool:
        """Whether every stage was timed."""
        return self._seconds_per_unit().keys() >= set(self._stages.values())

    @contextmanager
    def stage(self, name: str, total: int, kind: str, *, units: int) -> Generator[Done]:
        """One stage, with `total` files or clips to do now, which are so many units of work."""
        if not total:
            yield _nothing
            return
        stage, missing = self._stages[name], lacking(self._dataset, list(self._stages.values()), self.batches)
        # What was made of other needs than there are by now is not missing, and is made again.
        missing = replace(missing, units={**missing.units, stage: max(units, missing.units[stage] or 0)})
        with progress(name, total) as advance:
            timer = _Timer(self, stage, missing, advance, start=self._clock())
            self.tell(timer)
            try:
                yield timer
            finally:
                self._keep(timer)
        tell_throughput(name, timer.steps, kind, self._clock() - timer.start, num_lost=timer.num_lost)

    def tell(self, timer: _Timer) -> None:
        """Say how long all stages will take together, now and then, if more is known than the bar shows."""
        now = self._clock()
        rates = self._seconds_per_unit()
        if timer.is_timed(now):
            rates[timer.stage] = (now - timer.start) / timer.units
        found = estimate(timer.left, rates)
        is_more = timer.stage in rates and len(found.stages) > 1 and found.seconds >= LEAST_LEFT_S
        if is_more and (now >= self._next_line or len(found.not_timed) < self._num_unknown):
            notice(f"time left: about {found.as_text()}")
            self._next_line = now + max(TELL_EVERY_S, TELL_EVERY_SHARE * found.seconds)
            self._num_unknown = len(found.not_timed)

    def _seconds_per_unit(self) -> dict[Stage, float]:
        return {one: rate.seconds_per_unit for one, rate in self._rates.items() if rate.workers == self._num_workers}

    def _keep(self, timer: _Timer) -> None:
        now = self._clock()
        if not timer.is_timed(now):
            return
        took = max(1, round(1000 * (now - timer.start)))
        self._rates[timer.stage] = Rate(units=timer.units, ms=took, workers=self._num_workers)
        write_rates(self._dataset.folder, self._rates)


@dataclass
class _Timer:
    """One stage under way."""

    pace: Pace
    stage: Stage
    missing: Lacking
    """At the start."""
    advance: Advance
    start: float
    steps: int = 0
    units: int = 0
    num_lost: int = 0

    def __call__(self, steps: int, units: int, *, num_lost: int = 0) -> None:
        self.steps += steps
        self.units += units
        self.num_lost += num_lost
        self.advance(steps)
        self.pace.tell(self)

    def is_timed(self, now: float) -> bool:
        """Whether enough has been done, most of it with a value; with the others it will take another time."""
        is_enough = now - self.start >= LEAST_S or self.steps >= LEAST_STEPS
        return self.units > 0 and is_enough and 2 * self.num_lost <= self.steps

    @property
    def left(self) -> Lacking:
        """What is missing now."""
        before = self.missing.units[self.stage] or 0
        return replace(self.missing, units={**self.missing.units, self.stage: max(0, before - self.units)})


def _nothing(steps: int, units: int, *, num_lost: int = 0) -> None:
    del steps, units, num_lost


def _throughput(per_second: float) -> str:
    """In a unit of time in which there is at least one, up to an hour."""
    for seconds, name in ((1, "a second"), (60, "a minute")):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.1f} {name}"
    return f"{per_second * 3600:.1f} an hour"
