"""Pace of a run: progress bars, throughput, and the time left for all stages."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol

from videoldm.core.progress import Advance, notice, progress
from videoldm.core.wording import counted
from videoldm.curation.status import (
    MissingWork,
    Rate,
    RunStage,
    duration,
    estimate,
    missing_work,
    read_rates,
    write_rates,
)
from videoldm.curation.store.batches import InputBatch
from videoldm.curation.store.dataset import Dataset

REPORT_AFTER_S = 2.0
LEAST_S, LEAST_STEPS = 10.0, 64
"""Least time or number of steps after which a stage counts as timed; less says little about the rest."""
LEAST_LEFT_S = 60.0
REPORT_EVERY_S, REPORT_EVERY_SHARE = 600.0, 0.1
"""The time left is reported again after this time, and after this share of itself."""

Clock = Callable[[], float]


class ReportDone(Protocol):
    """Function that `Pace.stage` passes to its block."""

    def __call__(self, steps: int, units: int, *, num_lost: int = 0) -> None:
        """Report files or clips that are done, their units of work, and how many of them got no value."""
        ...


@contextmanager
def timed_progress(label: str, total: int, noun: str, clock: Clock = time.monotonic) -> Generator[Advance]:
    """Show a progress bar for `total` items, each a `noun`, and report the throughput at the end."""
    start = clock()
    with progress(label, total) as advance:
        yield advance
    report_throughput(label, total, noun, clock() - start)


def report_throughput(label: str, num_done: int, noun: str, seconds: float, *, num_lost: int = 0) -> None:
    """Report the throughput of a stage that took a while; `num_lost` items got no value and do not count."""
    num_made = num_done - num_lost
    if num_made and seconds >= REPORT_AFTER_S:
        lost = f"; {num_lost} more got no value" if num_lost else ""
        notice(f"{label}: {counted(num_made, noun)} in {duration(seconds)}, {_throughput(num_made / seconds)}{lost}")


class Pace:
    """Times stages; the rates are kept with the dataset, so that the next run and `status` know them."""

    def __init__(self, dataset: Dataset, stages: Sequence[RunStage], *, num_workers: int, clock: Clock) -> None:
        self._dataset = dataset
        self._stages = {stage.name: stage for stage in stages}
        self._num_workers = num_workers
        self._clock = clock
        self._rates = read_rates(dataset.folder)
        self._next_report = -inf
        self._num_unknown = inf
        """Number of stages that the last report said nothing about."""
        self.batches: Sequence[InputBatch] = ()
        """All batches of the run, once they are read."""

    @property
    def is_known(self) -> bool:
        """Whether every stage was timed."""
        return self._seconds_per_unit().keys() >= set(self._stages.values())

    @contextmanager
    def stage(self, name: str, total: int, noun: str, *, units: int) -> Generator[ReportDone]:
        """Time one stage with `total` files or clips to do now, which are `units` units of work."""
        if not total:
            yield _nothing
            return
        stage, missing = self._stages[name], missing_work(self._dataset, list(self._stages.values()), self.batches)
        # What was made from other needs than there are now is not missing, and is made again.
        missing = replace(missing, units={**missing.units, stage: max(units, missing.units[stage] or 0)})
        with progress(name, total) as advance:
            timer = _Timer(self, stage, missing, advance, start=self._clock())
            self.report_time_left(timer)
            try:
                yield timer
            finally:
                self._keep(timer)
        report_throughput(name, timer.steps, noun, self._clock() - timer.start, num_lost=timer.num_lost)

    def report_time_left(self, timer: _Timer) -> None:
        """Report from time to time how long all stages will take, if that says more than the progress bar."""
        now = self._clock()
        rates = self._seconds_per_unit()
        if timer.is_timed(now):
            rates[timer.stage] = (now - timer.start) / timer.units
        found = estimate(timer.left, rates)
        is_more = timer.stage in rates and len(found.stages) > 1 and found.seconds >= LEAST_LEFT_S
        if is_more and (now >= self._next_report or len(found.not_timed) < self._num_unknown):
            notice(f"time left: about {found.as_text()}")
            self._next_report = now + max(REPORT_EVERY_S, REPORT_EVERY_SHARE * found.seconds)
            self._num_unknown = len(found.not_timed)

    def _seconds_per_unit(self) -> dict[RunStage, float]:
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
    """A stage under way."""

    pace: Pace
    stage: RunStage
    missing: MissingWork
    """Work missing at the start."""
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
        self.pace.report_time_left(self)

    def is_timed(self, now: float) -> bool:
        """Return whether enough is done, most of it with a value; items that got none take another time."""
        is_enough = now - self.start >= LEAST_S or self.steps >= LEAST_STEPS
        return self.units > 0 and is_enough and 2 * self.num_lost <= self.steps

    @property
    def left(self) -> MissingWork:
        """Work that is missing now."""
        before = self.missing.units[self.stage] or 0
        return replace(self.missing, units={**self.missing.units, self.stage: max(0, before - self.units)})


def _nothing(steps: int, units: int, *, num_lost: int = 0) -> None:
    del steps, units, num_lost


def _throughput(per_second: float) -> str:
    """Return a rate for the shortest unit of time with at least one item, up to an hour."""
    for seconds, name in ((1, "a second"), (60, "a minute")):
        if per_second * seconds >= 1:
            return f"{per_second * seconds:.1f} {name}"
    return f"{per_second * 3600:.1f} an hour"
