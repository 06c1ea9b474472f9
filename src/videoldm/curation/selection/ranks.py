"""Columns of numbers: reading them in batches of rows, and exact values at given ranks without sorting.

A number's 64 bits are mapped so that they sort like the number; a pass counts the next 16 bits of the numbers that
agree with what is known of the value at a rank so far. Four passes find it, in memory that does not grow with the rows.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from duckdb import DuckDBPyConnection
from numpy.typing import NDArray

from videoldm.curation.store.view import OpenDataset, quoted, text

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_REALS = ("FLOAT", "DOUBLE")
_ROWS_A_BATCH = 1 << 20

Numbers = NDArray[np.float64] | NDArray[np.int64]
_DIGIT_BITS = 16
_SIGN = np.uint64(1 << 63)
NumberBatch = Mapping[str, Numbers]
"""Values of some rows by column, without missing ones; no NaN."""
_PREFIX_STEP = 3
_FEW = 50_000
"""Number of ids that are simply sorted."""


def is_number(kind: str) -> bool:
    """Return whether values of this DuckDB type can be ranked."""
    return kind in (*_INTEGERS, *_REALS)


def as_number(column: str, kind: str, *, finite: bool = False) -> str:
    """Return a column as SQL that gives BIGINT or DOUBLE, as not all integers are doubles; NaN becomes null.

    `finite` makes infinity null too.
    """
    if kind in _INTEGERS:
        return f"{quoted(column)}::BIGINT"
    check = f"isfinite({quoted(column)})" if finite else f"NOT isnan({quoted(column)})"
    return f"CASE WHEN {check} THEN {quoted(column)}::DOUBLE END"


def scan_numbers(dataset: OpenDataset, table: str, columns: Sequence[str]) -> Iterable[Mapping[str, Numbers]]:
    """Read all rows of columns made by `as_number`, without nulls, whose number differs from column to column."""
    names = ", ".join(map(quoted, columns))
    reader: pa.RecordBatchReader = dataset.connection.sql(f"SELECT {names} FROM {table}").to_arrow_reader(_ROWS_A_BATCH)
    for batch in reader:
        yield {name: batch.column(name).drop_null().to_numpy(zero_copy_only=False) for name in columns}


@dataclass(frozen=True, slots=True)
class Rank:
    """A rank: the index, from 0, of a value in its column when sorted upwards."""

    column: str
    place: int


@dataclass(frozen=True, slots=True)
class Ranked:
    """The value at a rank, and how many values of its column are smaller and equal."""

    value: float | int
    num_below: int
    num_equal: int


@dataclass(frozen=True, slots=True)
class _Search:
    prefix: int = 0
    num_below: int = 0
    num_equal: int = 0


def values_at(ranks: Sequence[Rank], scan: Callable[[], Iterable[NumberBatch]]) -> list[Ranked]:
    """Find the value at each of `ranks`; each call of `scan` reads all rows, in any order and batches of any size."""
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
    scan: Callable[[], Iterable[NumberBatch]],
    dtypes: dict[str, np.dtype[np.generic]],
) -> dict[tuple[str, int], NDArray[np.int64]]:
    """Count for each column and prefix how often each digit follows it."""
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
    """Return the search with one more digit known."""
    ends = search.num_below + np.cumsum(counts)
    digit = int(np.searchsorted(ends, place, side="right"))
    assert digit < len(counts), f"there is no rank {place} in a column of {int(ends[-1])} values"
    return replace(
        search,
        prefix=search.prefix << _DIGIT_BITS | digit,
        num_below=int(ends[digit] - counts[digit]),
        num_equal=int(counts[digit]),
    )


def _sortable(values: Numbers) -> NDArray[np.uint64]:
    """Map `values` to unsigned integers in the same order."""
    if values.dtype == np.int64:
        return values.view(np.uint64) ^ _SIGN
    bits = (values + 0.0).view(np.uint64)  # the sum turns -0.0, which equals 0.0, into it
    return np.where(bits >= _SIGN, ~bits, bits | _SIGN)


def _from_sortable(key: int, dtype: np.dtype[np.generic]) -> float | int:
    bits = np.array([key], np.uint64)
    if dtype == np.int64:
        return int((bits ^ _SIGN).view(np.int64)[0])
    return float(np.where(bits >= _SIGN, bits ^ _SIGN, ~bits).view(np.float64)[0])


def nth_tied(connection: DuckDBPyConnection, table: str, condition: str, place: int, *, few: int = _FEW) -> str:
    """Find the clip id at `place`, from 0, among the sorted ones of `table` that satisfy `condition`, by prefixes."""
    prefix = ""
    while True:
        tied = f"FROM {table} WHERE {condition} AND starts_with(clip_id, {text(prefix)})"
        length = len(prefix) + _PREFIX_STEP
        groups = connection.execute(
            f"SELECT left(clip_id, {length}) AS start, count(*) {tied} GROUP BY start ORDER BY start"
        ).fetchall()
        found = 0
        while place >= groups[found][1]:
            place -= groups[found][1]
            found += 1
        start, count = groups[found]
        # An id that ends here is a group of its own, and cannot be divided any further.
        if count <= few or len(start) < length:
            [(clip_id,)] = connection.execute(
                f"SELECT clip_id {tied} AND left(clip_id, {length}) = {text(start)} "
                f"ORDER BY clip_id LIMIT 1 OFFSET {place}"
            ).fetchall()
            return clip_id
        prefix = start
