"""Conditions in SQL that users write: one expression, true or false for each clip, the same in every run."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from typing import Any

import duckdb

from videoldm.core.errors import InputError, hint
from videoldm.curation.store.view import OpenDataset, explained, first_line, text

# Errors of a wrong query, as opposed to those of a machine at its limits or a damaged file.
_WRONG_SQL = (
    duckdb.ProgrammingError,
    duckdb.DataError,
    duckdb.NotSupportedError,
    duckdb.InvalidInputException,
    duckdb.PermissionException,
)

_NO_COLUMN = re.compile(r'^Referenced column "(.+)" not found')


def check_condition(dataset: OpenDataset, sql: str) -> None:
    """Raise InputError with one line unless `sql` can be the condition of a filter.

    It may use all tables of the dataset in subqueries; the connection cannot access other files. Nothing is computed
    yet: a value that cannot be converted is found later, within `condition_explained`.
    """
    with condition_explained(sql, dataset.types()):
        duckdb.SQLExpression(sql)  # refuses all but one expression
        unstable = _names_called(dataset, sql) & _unstable_names(dataset)
        if unstable:
            raise InputError(f"where {sql!r}: {min(unstable)} gives a different result in each run")
        types = dataset.types_of(f"SELECT (\n{sql}\n) FROM dataset WHERE (\n{sql}\n)")
        if list(types.values()) != ["BOOLEAN"]:
            raise InputError(f"where {sql!r}: is of the type {', '.join(types.values())}, it should be true or false")


@contextmanager
def condition_explained(sql: str, columns: Iterable[str] = ()) -> Generator[None]:
    """Turn DuckDB's error for a wrong condition into one line, with the nearest of `columns` for an unknown one."""
    with explained():
        try:
            yield
        except _WRONG_SQL as error:
            reason = first_line(error)
            if unknown := _NO_COLUMN.search(reason):
                reason = f"there is no column {unknown[1]!r}, {hint(unknown[1], columns, 'see videoldm curate stats')}"
            raise InputError(f"where {sql!r}: {reason}") from None


def _names_called(dataset: OpenDataset, sql: str) -> set[str]:
    """Return the functions that are called, and single words, which may be functions too (`current_date`)."""
    [(tree,)] = dataset.connection.execute(f"SELECT json_serialize_sql({text(f'SELECT ({sql}{chr(10)})')})").fetchall()
    names: set[str] = set()
    _collect_names(json.loads(tree), names)
    return names - set(dataset.types())


def _collect_names(node: Any, names: set[str]) -> None:
    match node:
        case {"function_name": str(name)} | {"column_names": [str(name)]}:
            names.add(name.lower())
        case _:
            pass
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        _collect_names(child, names)


def _unstable_names(dataset: OpenDataset) -> set[str]:
    rows = dataset.connection.execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability <> 'CONSISTENT'"
    ).fetchall()
    return {name for (name,) in rows}
