"""The clip id at a place among clips of equal value, found by prefixes: no list of all of them is made."""

from __future__ import annotations

from duckdb import DuckDBPyConnection

from videoldm.curation.store.view import text

_PREFIX_STEP = 3
_FEW = 50_000
"""Ids that are simply sorted."""


def nth_tied(connection: DuckDBPyConnection, table: str, condition: str, place: int, *, few: int = _FEW) -> str:
    """The clip id that stands at `place`, from 0, among those of `table` that `condition` holds for, sorted upwards."""
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
        # An id that ends here is a group of its own, and cannot be told apart any further.
        if count <= few or len(start) < length:
            [(clip_id,)] = connection.execute(
                f"SELECT clip_id {tied} AND left(clip_id, {length}) = {text(start)} "
                f"ORDER BY clip_id LIMIT 1 OFFSET {place}"
            ).fetchall()
            return clip_id
        prefix = start
