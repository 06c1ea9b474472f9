"""Parts: tables of one batch each, written at once and always with the same bytes for the same rows."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.dataset import dataset

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file

ROWS_PER_GROUP = 100_000
DIGEST = b"inputs"


def write_part(
    path: Path, rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema, *, digest: str = ""
) -> None:
    """Write the rows in the order given, in place of what was there; `digest` tells what they were made from."""
    table: Any = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=schema)
    with atomic_file(path) as partial:
        marked = table.cast(schema).replace_schema_metadata({DIGEST: digest.encode()})
        pq.write_table(marked, partial, row_group_size=ROWS_PER_GROUP, compression="zstd")


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of a part; raises InputError if it is broken."""
    # Opened as one file: read_table would take parts of its path for columns.
    with _explained(path), pq.ParquetFile(path) as file:
        return file.read(columns=None if columns is None else list(columns))


def read_if_whole(path: Path, columns: Sequence[str] | None = None) -> pa.Table | None:
    """All rows of a part; None if it is missing or broken, so that it has to be made anew."""
    try:
        return read_part(path, columns) if path.exists() else None
    except InputError:
        return None


def read_rows(path: Path, condition: pc.Expression, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows for which a condition holds; groups of rows that cannot hold any are not read."""
    with _explained(path):
        wanted = None if columns is None else list(columns)
        return dataset(path, format="parquet").to_table(columns=wanted, filter=condition)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: cannot be read, delete it and videoldm curate run makes it anew: {error}") from None


def is_made_from(path: Path, digest: str) -> bool:
    """Whether the part is there and was made from what `digest` tells."""
    if not path.exists():
        return False
    try:
        return (pq.read_schema(path).metadata or {}).get(DIGEST) == digest.encode()
    except (pa.ArrowInvalid, OSError):
        return False  # broken, so to be made anew
