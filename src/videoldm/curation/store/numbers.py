"""Columns of numbers: which ones are, and reading them a batch of rows at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from videoldm.curation.store.view import OpenDataset, quoted

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_REALS = ("FLOAT", "DOUBLE")
_ROWS_A_BATCH = 1 << 20

Numbers = NDArray[np.float64] | NDArray[np.int64]


def is_number(kind: str) -> bool:
    """Whether values of this type of DuckDB can be ranked."""
    return kind in (*_INTEGERS, *_REALS)


def as_number(column: str, kind: str, *, finite: bool = False) -> str:
    """A column as SQL that gives BIGINT or DOUBLE, as not all whole numbers are doubles; NaN becomes null.

    `finite` makes infinity null too.
    """
    if kind in _INTEGERS:
        return f"{quoted(column)}::BIGINT"
    check = f"isfinite({quoted(column)})" if finite else f"NOT isnan({quoted(column)})"
    return f"CASE WHEN {check} THEN {quoted(column)}::DOUBLE END"


def scan_numbers(dataset: OpenDataset, table: str, columns: Sequence[str]) -> Iterable[Mapping[str, Numbers]]:
    """All rows of columns that `as_number` made, without nulls, which differ in number from column to column."""
    names = ", ".join(map(quoted, columns))
    reader: pa.RecordBatchReader = dataset.connection.sql(f"SELECT {names} FROM {table}").to_arrow_reader(_ROWS_A_BATCH)
    for batch in reader:
        yield {name: batch.column(name).drop_null().to_numpy(zero_copy_only=False) for name in columns}
