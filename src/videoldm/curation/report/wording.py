"""Numbers as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from videoldm.curation.report.stats import YEAR_S

_DAY_S, _HOUR_S = 86400, 3600


def duration(seconds: Fraction) -> str:
    """In the largest unit of which there is at least one: 212.09 years, 3.5 days, 12.1 hours, 50 s."""
    for unit, length in (("years", YEAR_S), ("days", _DAY_S), ("hours", _HOUR_S), ("minutes", 60)):
        if seconds >= length:
            return f"{float(seconds / length):.2f} {unit}"
    return f"{float(seconds):.2f} s"


def number(value: float) -> str:
    """Four digits; whole numbers in full, large ones in groups."""
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:.4g}"


def share(part: int, whole: int) -> str:
    """A percentage with one decimal."""
    return f"{100 * part / whole:.1f}%" if whole else "-"


def clips(count: int) -> str:
    """How many clips."""
    return "1 clip" if count == 1 else f"{count:,} clips"


def counted(counts: Mapping[str, int]) -> str:
    """Names with how often each is there, one a line."""
    return "\n".join(f"{name} ({count:,})" for name, count in counts.items())
