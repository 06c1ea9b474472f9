"""How the numbers of a column are spread: exact quantiles and a histogram, in passes over any number of rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from videoldm.curation.selection.ranks import Rank, values_at
from videoldm.curation.store.numbers import Numbers, as_number, is_number, scan_numbers
from videoldm.curation.store.view import OpenDataset, quoted

NUM_BINS = 40
QUARTERS = (Fraction(0), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(1))
_TAIL = Fraction(1, 200)
"""The share on either side that the first and last bin take in, or an outlier would press all others into one bin."""

_TABLE = "numbers"

Scan = Callable[[], Iterable[Mapping[str, Numbers]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """Of the finite values of a column."""

    column: str
    num_values: int
    quarters: tuple[float, ...]
    """The smallest value, the first quartile, the median, the third quartile, the largest value."""
    edges: tuple[float, ...]
    """Of bins of equal width; values beyond the outer edges are counted in the first and last bin."""
    counts: tuple[int, ...]

    @property
    def is_constant(self) -> bool:
        """Whether there is one value only."""
        return self.quarters[0] == self.quarters[-1]

    @property
    def is_by_value(self) -> bool:
        """Whether each bin is for the one value in its middle, as with few whole numbers."""
        return len(self.counts) == 1 or (isinstance(self.quarters[0], int) and self.edges[0] % 1 == 0.5)


def distributions(dataset: OpenDataset, query: str) -> list[Distribution]:
    """The distribution of each column of numbers that `query` gives, if it has any finite value."""
    types = {column: kind for column, kind in dataset.types_of(query).items() if is_number(kind)}
    if not types:
        return []
    numbers = ", ".join(f"{as_number(name, kind, finite=True)} AS {quoted(name)}" for name, kind in types.items())
    connection = dataset.connection
    connection.execute(f"CREATE OR REPLACE TABLE {_TABLE} AS SELECT {numbers} FROM ({query})")
    counts = connection.execute(f"SELECT {', '.join(f'count({quoted(name)})' for name in types)} FROM {_TABLE}")
    filled = {name: count for name, count in zip(types, counts.fetchall()[0], strict=True) if count}
    found = _measure(filled, lambda: scan_numbers(dataset, _TABLE, list(filled))) if filled else []
    connection.execute(f"DROP TABLE {_TABLE}")
    return found


def _measure(num_values: Mapping[str, int], scan: Scan) -> list[Distribution]:
    ranks = [Rank(name, place) for name, count in num_values.items() for place in _places(count)]
    values = iter(values_at(ranks, scan))
    by_column = {name: [next(values).value for _ in _places(count)] for name, count in num_values.items()}
    edges = {name: _edges(found[-2], found[-1]) for name, found in by_column.items()}
    counts = {name: np.zeros(len(edges[name]) - 1, np.int64) for name in num_values}
    for batch in scan():
        for name in num_values:
            counts[name] += np.histogram(np.clip(batch[name], edges[name][0], edges[name][-1]), edges[name])[0]
    return [
        Distribution(
            column=name,
            num_values=num_values[name],
            quarters=tuple(found[: len(QUARTERS)]),
            edges=tuple(edges[name]),
            counts=tuple(counts[name].tolist()),
        )
        for name, found in by_column.items()
    ]


def _places(num_values: int) -> list[int]:
    """Ranks of the quartiles, then of the ends of the histogram."""
    last = num_values - 1
    return [math.floor(share * last) for share in (*QUARTERS, _TAIL)] + [math.ceil((1 - _TAIL) * last)]


def _edges(lowest: float, highest: float) -> Sequence[float]:
    """Of bins between two values; few whole numbers get a bin each, around them."""
    if isinstance(lowest, int) and highest - lowest < NUM_BINS:
        return [value - 0.5 for value in range(lowest, int(highest) + 2)]
    if lowest == highest:
        return [lowest - 0.5, lowest + 0.5]
    return np.linspace(lowest, highest, NUM_BINS + 1).tolist()
