"""A dataset's tables as views of a DuckDB connection with bounded memory that can read nothing but the dataset.

The views are `sources`, `clips`, `transitions` and `sidecars` (`videoldm.dataset.tables`), one for each annotation by
its name, and the wide view `dataset`: a row for each clip, with the columns of `clips`, then `start_s`, `duration_s`,
`fps` in rounded seconds for queries, then those of all annotations. A column of an annotation is called
`<annotation>_<column>`, unless its name is or begins with the annotation's already; `<annotation>_missing` says why
there is no value. If no column has the annotation's own name, this stands for the first one: `aesthetics` is
`aesthetics_score`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
from duckdb import DuckDBPyConnection

from videoldm.core.errors import InputError
from videoldm.dataset.tables import ANNOTATION_KEY, CLIPS, NOT_MADE, SIDECARS, SOURCES, TRANSITIONS

_COMPUTED = {
    "start_s": "clips.start_pts * clips.time_base_num / clips.time_base_den",
    "duration_s": "(clips.end_pts - clips.start_pts) * clips.time_base_num / clips.time_base_den",
    "fps": "clips.frame_rate_num / clips.frame_rate_den",
}


CLIP_NUMBERS = ("duration_s", "num_frames", "fps", "width", "height")
"""Numbers of clips that people ask for; the others say where clips lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """Parquet parts that make up a dataset, wherever they lie."""

    clips: Sequence[Path]
    sources: Sequence[Path] = ()
    transitions: Sequence[Path] = ()
    sidecars: Sequence[Path] = ()
    annotations: Mapping[str, Sequence[Path]] = field(default_factory=dict[str, Sequence[Path]])

    @property
    def tables(self) -> dict[str, Sequence[Path]]:
        """All parts by table."""
        fixed = {"sources": self.sources, "clips": self.clips, "transitions": self.transitions}
        return {**fixed, "sidecars": self.sidecars, **self.annotations}


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryLimits:
    """Resources that queries may use; results do not depend on them."""

    memory_gib: float = 4.0
    num_threads: int = 2
    scratch: Path | None = None
    """Folder for what does not fit in memory; the system's temporary folder if None."""


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """An open connection, and the columns that annotations have in the view `dataset`."""

    view: DatasetView
    connection: DuckDBPyConnection
    columns: Mapping[str, Mapping[str, str]]
    """For each annotation, its columns in `dataset` with the column of the annotation that each one is."""

    def main(self, annotation: str) -> str | None:
        """Return the wide column that an annotation's own name stands for; None if it has no columns."""
        columns = self.columns[annotation]
        return annotation if annotation in columns else next(iter(columns), None)

    def owner(self, column: str) -> str | None:
        """Return the annotation that a column of `dataset` belongs to; None for those of clips."""
        return next((name for name, columns in self.columns.items() if column in (name, *columns)), None)

    def wide(self, annotations: Collection[str]) -> str:
        """Return the query behind the view `dataset`, with these annotations only."""
        computed = [f"{expression} AS {name}" for name, expression in _COMPUTED.items()]
        joined = [name for name in self.columns if name in annotations]
        values = [
            f"{quoted(name)}.{quoted(column)} AS {quoted(wide)}"
            for name in joined
            for wide, column in self.columns[name].items()
        ]
        mains = {name: self.main(name) for name in joined}
        values += [
            f"{quoted(name)}.{quoted(self.columns[name][main])} AS {quoted(name)}"
            for name, main in mains.items()
            if main not in (None, name)
        ]
        reasons = [
            f"CASE WHEN {quoted(name)}.clip_id IS NULL THEN {text(NOT_MADE)} "
            f"ELSE {quoted(name)}.missing END AS {quoted(f'{name}_missing')}"
            for name in joined
        ]
        joins = [f" LEFT JOIN {quoted(name)} ON {quoted(name)}.clip_id = clips.clip_id" for name in joined]
        return f"SELECT {', '.join(['clips.*', *computed, *values, *reasons])} FROM clips{''.join(joins)}"

    def types(self) -> dict[str, str]:
        """Return the DuckDB type of each column of `dataset`."""
        return self.types_of("SELECT * FROM dataset")

    def types_of(self, query: str) -> dict[str, str]:
        """Return the DuckDB type of each column of a query's result."""
        return {row[0]: row[1] for row in self.connection.execute(f"DESCRIBE {query}").fetchall()}


@contextmanager
def open_dataset(view: DatasetView, limits: QueryLimits | None = None) -> Generator[OpenDataset]:
    """Open a connection with the views of a dataset; it can neither read nor write any other file.

    Raises InputError if a part is not a readable Parquet file or queries need more than `limits` allow.
    """
    limits = limits or QueryLimits()
    with (
        tempfile.TemporaryDirectory(prefix="videoldm-query-", dir=limits.scratch) as scratch,
        duckdb.connect(Path(scratch, "query.duckdb"), config=_settings(limits, scratch)) as connection,
        explained(),
    ):
        schemas = {"sources": SOURCES, "clips": CLIPS, "transitions": TRANSITIONS, "sidecars": SIDECARS}
        connection.execute("SET enable_progress_bar = false")
        columns: dict[str, dict[str, str]] = {}
        for name, parts in view.tables.items():
            if parts:
                connection.execute(f"CREATE VIEW {quoted(name)} AS SELECT * FROM {_scan(parts)}")
            elif name in schemas:
                connection.execute(f"CREATE VIEW {name} AS {_empty(schemas[name])}")
            if parts and name in view.annotations:
                described = connection.execute(f"DESCRIBE {quoted(name)}").fetchall()
                columns[name] = _wide_columns(name, [row[0] for row in described])
        dataset = OpenDataset(view, connection, columns)
        connection.execute(f"CREATE VIEW dataset AS {dataset.wide(columns)}")
        _lock(connection, [part for parts in view.tables.values() for part in parts])
        yield dataset


@contextmanager
def explained() -> Generator[None]:
    """Turn errors that users can cause into one line: damaged parts, a full disk, too little memory."""
    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise InputError(f"the query needs more memory or scratch space than allowed: {first_line(error)}") from None
    except (duckdb.IOException, duckdb.InvalidInputException) as error:
        reason = first_line(error)
        raise InputError(f"the dataset cannot be queried, videoldm curate run repairs broken parts: {reason}") from None


def first_line(error: duckdb.Error) -> str:
    """Return what is wrong, without the query and the kind of error that DuckDB adds."""
    line = str(error).strip().partition("\n")[0]
    kind, sign, reason = line.partition(" Error: ")
    return reason if sign and kind.replace(" ", "").isalpha() else line


def quoted(name: str) -> str:
    """Return `name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """Return `value` as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def _settings(limits: QueryLimits, scratch: str) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "memory_limit": f"{round(limits.memory_gib * 1024)}MiB",
        "threads": limits.num_threads,
        "temp_directory": str(Path(scratch, "spilled")),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }


def _lock(connection: DuckDBPyConnection, parts: Iterable[Path]) -> None:
    """Allow access to the parts alone from here on; DuckDB checks a path both as a pattern and as it is."""
    names = [name for part in parts for name in (_pattern(part), str(part))]
    connection.execute(f"SET allowed_paths = {_list(dict.fromkeys(names))}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _scan(parts: Sequence[Path]) -> str:
    return f"read_parquet({_list(map(_pattern, parts))}, hive_partitioning = false)"


def _pattern(part: Path) -> str:
    """Return a pattern that only this path matches."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in str(part))


def _list(values: Iterable[str]) -> str:
    return f"[{', '.join(map(text, values))}]"


def _empty(schema: pa.Schema) -> str:
    """Return a query without rows; its types only need to distinguish numbers and texts."""
    types = {pa.string(): "VARCHAR", pa.binary(): "BLOB", pa.bool_(): "BOOLEAN", pa.float32(): "FLOAT"}
    columns = [
        f"NULL::{types.get(item.type, 'BIGINT' if pa.types.is_integer(item.type) else 'MAP(VARCHAR, VARCHAR)')} "
        f"AS {quoted(item.name)}"
        for item in schema
    ]
    return f"SELECT {', '.join(columns)} WHERE false"


def _wide_columns(name: str, columns: Sequence[str]) -> dict[str, str]:
    keys = [key for key, _ in ANNOTATION_KEY]
    values = [column for column in columns if column not in keys]
    return {column if f"{column}_".startswith(f"{name}_") else f"{name}_{column}": column for column in values}
