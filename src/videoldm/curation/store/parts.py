"""Parts: tables of one batch each, written atomically, with the same bytes for the same rows.

An annotation's part is made piece by piece: every piece is a small file of its own, and the part is written once from
all of them, as rewriting it with each piece would take time that grows with the square of their number.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow.dataset import dataset

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file

if TYPE_CHECKING:
    from videoldm.curation.store.dataset import Dataset

ROWS_PER_GROUP = 100_000
DIGEST = b"inputs"


def write_part(
    path: Path, rows: Sequence[Mapping[str, Any]] | pa.Table, schema: pa.Schema, *, digest: str = ""
) -> None:
    """Write the rows in the given order, replacing an earlier part; `digest` says what they were made from."""
    table: Any = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(list(rows), schema=schema)
    with atomic_file(path) as partial:
        marked = table.cast(schema).replace_schema_metadata({DIGEST: digest.encode()})
        pq.write_table(marked, partial, row_group_size=ROWS_PER_GROUP, compression="zstd")


def read_part(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read all rows of a part; raises InputError if it is broken."""
    # Opened as one file: read_table would take parts of its path for columns.
    with _explained(path), pq.ParquetFile(path) as file:
        return file.read(columns=None if columns is None else list(columns))


def read_if_whole(path: Path, columns: Sequence[str] | None = None) -> pa.Table | None:
    """Read all rows of a part; None if it is missing or broken, so that it has to be made anew."""
    try:
        return read_part(path, columns) if path.exists() else None
    except InputError:
        return None


def read_rows(path: Path, condition: pc.Expression, columns: Sequence[str] | None = None) -> pa.Table:
    """Read the rows that satisfy a condition; groups of rows that cannot contain any are not read."""
    with _explained(path):
        wanted = None if columns is None else list(columns)
        return dataset(path, format="parquet").to_table(columns=wanted, filter=condition)


def rows_of(path: Path, source_id: str, columns: Sequence[str]) -> pa.Table:
    """Read columns of the rows of one source, from a part whose groups of rows hold one source each.

    That takes a tenth of the time of `read_rows`.
    """
    with _explained(path), pq.ParquetFile(path) as file:
        place = file.schema.names.index("source_id")
        ranges = [file.metadata.row_group(group).column(place).statistics for group in range(file.num_row_groups)]
        groups = [group for group, one in enumerate(ranges) if one.min == source_id]
        return file.read_row_groups(groups, columns=list(columns), use_threads=False)


@contextmanager
def _explained(path: Path) -> Generator[None]:
    try:
        yield
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: cannot be read, delete it and videoldm curate run makes it anew: {error}") from None


def is_made_from(path: Path, digest: str) -> bool:
    """Return whether the part exists and was made from what `digest` says."""
    if not path.exists():
        return False
    try:
        return (pq.read_schema(path).metadata or {}).get(DIGEST) == digest.encode()
    except (pa.ArrowInvalid, OSError):
        return False  # broken, so that it is made anew


@dataclass(frozen=True)
class PartInPieces:
    """A part of an annotation, and the folder of the pieces that it does not hold yet."""

    part: Path
    folder: Path

    @classmethod
    def of(cls, dataset: Dataset, part: Path) -> PartInPieces:
        """Return a part of a dataset with the folder for its pieces."""
        return cls(part, dataset.work / part.relative_to(dataset.folder).with_suffix(""))

    @property
    def pieces(self) -> list[Path]:
        """Existing pieces; a killed run leaves some."""
        return sorted(self.folder.glob("[0-9a-f]*.parquet"))

    def add(self, rows: pa.Table) -> None:
        """Write one more piece, of other clips than the existing ones."""
        write_part(self.folder / f"{rows['clip_id'][0].as_py()}.parquet", rows, rows.schema)

    def gather(self, order: Sequence[str]) -> None:
        """Make the part hold the rows of these clips alone, in this order; rows of pieces replace older ones.

        If it is interrupted, calling it again gives the same result.
        """
        pieces, old = self.pieces, read_if_whole(self.part)
        if old is None:
            self.part.unlink(missing_ok=True)  # broken
        if not pieces and (old is None or set(old["clip_id"].to_pylist()).issubset(order)):
            return
        tables = [*(read_part(piece) for piece in pieces), *([] if old is None else [old])]
        rows = pa.concat_tables([table.cast(tables[0].schema) for table in tables])
        place: dict[str, int] = {}
        for number, clip_id in enumerate(rows["clip_id"].to_pylist()):
            place.setdefault(clip_id, number)
        chosen = rows.take(pa.array([place[clip_id] for clip_id in order if clip_id in place], pa.int64()))
        write_part(self.part, chosen.combine_chunks(), rows.schema)
        for piece in pieces:
            piece.unlink()

    def settled(self) -> dict[str, str]:
        """Return the clips whose row is final, and what each was made from."""
        found = read_if_whole(self.part, ["clip_id", "may_come_later", "made_from"])
        if found is None:
            return {}
        rows = found.filter(~pc.field("may_come_later"))
        return dict(zip(rows["clip_id"].to_pylist(), rows["made_from"].to_pylist(), strict=True))


def clip_ids(part: Path) -> list[str]:
    """Return the clip ids of a part, in order."""
    return read_part(part, ["clip_id"])["clip_id"].to_pylist()
