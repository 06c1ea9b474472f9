"""Exact time: times and rates are rational numbers, never float seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

from videoldm.core.errors import InputError

# Rates written as 23.976, 29.97 and so on are exactly n * 1000 / 1001.
_NTSC_BASES = (24, 30, 48, 60, 120)
_NTSC_TOLERANCE = Fraction(5, 1000)
_MAX_RATE = 1000
_MANY_TICKS = 4
# Containers store a rate as two 32-bit numbers.
_MAX_RATE_TERM = 1_000_000


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A point on a stream's own clock: `pts` ticks of `time_base` seconds each."""

    pts: int
    time_base: Fraction

    @property
    def time(self) -> Fraction:
        """The point in exact seconds."""
        return self.pts * self.time_base


ExactTime = Timestamp | Fraction
"""A point in time as an argument: ticks of a time base, or exact seconds on the stream's clock."""


def exact_seconds(time: ExactTime, *, name: str = "time") -> Fraction:
    """Return `time` in exact seconds; raises InputError for a plain number: it could mean ticks, frames or seconds."""
    match time:
        case Timestamp():
            return time.time
        case Fraction():
            return time
        case _:
            raise InputError(f"{name} is {time!r}, it should be a Timestamp (ticks) or a Fraction (seconds)")


def frame_times(start: Fraction, num_frames: int, fps: Fraction) -> list[Fraction]:
    """Return the exact times of `num_frames` frames at rate `fps`, the first at `start`."""
    return [start + index / fps for index in range(num_frames)]


def mean_rate(num_frames: int, ticks: int, time_base: Fraction, *, nominal: Fraction | None) -> Fraction | None:
    """Return the mean rate of frames of which the last is shown `ticks` after the first.

    Containers round times to ticks; where that explains the difference, the rate is the nominal one, or else a whole
    one or one of NTSC. A single frame has the nominal rate.
    """
    if num_frames < 2 or ticks <= 0:
        return nominal
    exact = Fraction(num_frames - 1) / (ticks * time_base)
    usual = (Fraction(round(exact)), *_ntsc_rates())
    for rate in usual if nominal is None else (nominal, *usual):
        if rate > 0:
            frame_ticks = 1 / (rate * time_base)
            # As for `frames_at`: where frames last just a few ticks, times count as exact.
            rounding = 1 if frame_ticks >= _MANY_TICKS else 0
            if abs((num_frames - 1) * frame_ticks - ticks) <= rounding:
                return rate
    return exact


def parse_rate(value: Fraction | float | str, *, name: str = "fps") -> Fraction:
    """Return `value` as an exact frame rate; raises InputError unless it is above 0 and at most 1000.

    Decimals close to an NTSC rate become that rate: 29.97 becomes 30000/1001. Text may be a ratio ("30000/1001").
    """
    rate = _to_fraction(value, name)
    if not 0 < rate <= _MAX_RATE:
        raise InputError(f"{name} is {value}, it should be above 0 and at most {_MAX_RATE}")
    if rate.denominator != 1 and not isinstance(value, Fraction):
        rate = next((ntsc for ntsc in _ntsc_rates() if abs(rate - ntsc) < _NTSC_TOLERANCE), rate)
    if max(rate.numerator, rate.denominator) > _MAX_RATE_TERM:
        raise InputError(f"{name} is {value}, it should be a ratio of whole numbers up to {_MAX_RATE_TERM}")
    return rate


def _ntsc_rates() -> list[Fraction]:
    return [Fraction(base * 1000, 1001) for base in _NTSC_BASES]


def _to_fraction(value: Fraction | float | str, name: str) -> Fraction:
    if isinstance(value, bool) or (isinstance(value, float) and not math.isfinite(value)):
        raise InputError(f"{name} is {value}, it should be a number above 0")
    try:
        # Through text, so that a float means the decimal that its author wrote.
        return value if isinstance(value, Fraction) else Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise InputError(f"{name} is {value!r}, it should be a number such as 24, 29.97 or 30000/1001") from None
