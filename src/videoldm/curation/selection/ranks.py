"""Exact values at given ranks of columns of any length, without sorting: a few passes, each narrowing the bits down.

A number's 64 bits are turned so that they sort like the number; a pass counts the next 16 bits of those numbers that
agree with what is known of the value at a rank so far. Four passes tell it, in memory that does not grow with the rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from videoldm.curation.store.numbers import Numbers

_DIGIT_BITS = 16
_SIGN = np.uint64(1 << 63)

Batch = Mapping[str, Numbers]
"""Values of some rows by column, without those that are missing; no NaN."""


@dataclass(frozen=True, slots=True)
class Rank:
    """The place, from 0, that a value has in its column when sorted upwards."""

    column: str
    place: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """The value at a rank, how many of its column are smaller, and how many equal to it."""

    value: float | int
    num_below: int
    num_equal: int


@dataclass(frozen=True, slots=True)
class _Search:
    prefix: int = 0
    num_below: int = 0
    num_equal: int = 0


def values_at(ranks: Sequence[Rank], scan: Callable[[], Iterable[Batch]]) -> list[Ranked]:
    """What stands at each of `ranks`; `scan` gives all rows anew each time, in any order and batches of any size."""
    if not ranks:
        return []
    searches = [_Search()] * len(ranks)
    dtypes: dict[str, np.dtype[np.generic]] = {}
    for shift in range(64 - _DIGIT_BITS, -1, -_DIGIT_BITS):
        wanted = {(rank.column, search.prefix) for rank, search in zip(ranks, searches, strict=True)}
        counts = _count_digits(wanted, shift, scan, dtypes)
        searches = [
            _narrowed(search, rank.place, counts[rank.column, search.prefix])
            for rank, search in zip(ranks, searches, strict=True)
        ]
    return [
        Ranked(_from_sortable(search.prefix, dtypes[rank.column]), search.num_below, search.num_equal)
        for rank, search in zip(ranks, searches, strict=True)
    ]


def _count_digits(
    wanted: set[tuple[str, int]],
    shift: int,
    scan: Callable[[], Iterable[Batch]],
    dtypes: dict[str, np.dtype[np.generic]],
) -> dict[tuple[str, int], NDArray[np.int64]]:
    """For each column and prefix how often each digit follows it."""
    num_digits = 1 << _DIGIT_BITS
    counts = {key: np.zeros(num_digits, np.int64) for key in wanted}
    prefixes: dict[str, list[int]] = defaultdict(list)
    for column, prefix in wanted:
        prefixes[column].append(prefix)
    for batch in scan():
        for column, known_prefixes in prefixes.items():
            dtypes[column] = batch[column].dtype
            digits = _sortable(batch[column]) >> np.uint64(shift)
            known = digits >> np.uint64(_DIGIT_BITS)
            for prefix in known_prefixes:
                following = digits if prefix == 0 and shift == 64 - _DIGIT_BITS else digits[known == np.uint64(prefix)]
                low = (following & np.uint64(num_digits - 1)).astype(np.int64)
                counts[column, prefix] += np.bincount(low, minlength=num_digits)
    return counts


def _narrowed(search: _Search, place: int, counts: NDArray[np.int64]) -> _Search:
    """The search with one more digit known."""
    ends = search.num_below + np.cumsum(counts)
    digit = int(np.searchsorted(ends, place, side="right"))
    assert digit < len(counts), f"there is no place {place} in a column of {int(ends[-1])} values"
    return replace(
        search,
        prefix=search.prefix << _DIGIT_BITS | digit,
        num_below=int(ends[digit] - counts[digit]),
        num_equal=int(counts[digit]),
    )


def _sortable(values: Numbers) -> NDArray[np.uint64]:
    """Unsigned numbers in the order of `values`."""
    if values.dtype == np.int64:
        return values.view(np.uint64) ^ _SIGN
    bits = (values + 0.0).view(np.uint64)  # the sum turns -0.0, which equals 0.0, into it
    return np.where(bits >= _SIGN, ~bits, bits | _SIGN)


def _from_sortable(key: int, dtype: np.dtype[np.generic]) -> float | int:
    bits = np.array([key], np.uint64)
    if dtype == np.int64:
        return int((bits ^ _SIGN).view(np.int64)[0])
    return float(np.where(bits >= _SIGN, bits ^ _SIGN, ~bits).view(np.float64)[0])
