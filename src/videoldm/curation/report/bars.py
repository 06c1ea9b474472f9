"""Histograms as bars, in shares of the place that they are drawn into."""

from __future__ import annotations

from dataclasses import dataclass

from videoldm.curation.report.distribution import Distribution
from videoldm.curation.report.wording import number

_WIDEST = 1 / 20
"""Of one bar, or a column of one value would fill its place."""
_GAP = 1 / 5
"""Of a bin, between bars."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar that stands on the axis."""

    left: float
    width: float
    height: float
    label: str
    """Which values it counts."""
    count: int


def bars(distribution: Distribution) -> list[Bar]:
    """The bars of all bins that are not empty, from left to right."""
    bin_width, largest = 1 / len(distribution.counts), max(distribution.counts)
    width = min(bin_width * (1 - _GAP), _WIDEST)
    return [
        Bar(
            left=(index + 0.5) * bin_width - width / 2,
            width=width,
            height=count / largest,
            label=_label(distribution, index),
            count=count,
        )
        for index, count in enumerate(distribution.counts)
        if count
    ]


def axis(distribution: Distribution) -> tuple[str, str]:
    """What stands at the ends of the axis; nothing at the second one if there is one bin only."""
    if not distribution.is_by_value:
        return number(distribution.edges[0]), number(distribution.edges[-1])
    last = len(distribution.counts) - 1
    return _label(distribution, 0), _label(distribution, last) if last else ""


def spread(distribution: Distribution) -> str:
    """In words between which values they lie."""
    lowest, _, median, _, highest = map(number, distribution.quarters)
    return f"always {median}" if distribution.is_constant else f"{lowest} to {highest}, median {median}"


def _label(distribution: Distribution, index: int) -> str:
    start, end = distribution.edges[index : index + 2]
    return number((start + end) / 2) if distribution.is_by_value else f"{number(start)} to {number(end)}"
