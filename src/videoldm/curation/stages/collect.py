"""Stage from the folders that decoding leaves to the batch's parts: sources, signals and small frames."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videoldm.core.files import atomic_file
from videoldm.core.reading import read_mapping
from videoldm.curation.store.batches import Entry, InputBatch
from videoldm.curation.store.parts import DIGEST, is_made_from, read_if_whole, read_part, read_rows, write_part
from videoldm.dataset.tables import SOURCES

QUARANTINED = "quarantined"
_FEW_VALUES = ("source_id", "kind")
_IS_SMALL_ALREADY = ("jpeg",)
FROM_INPUTS = ("path", "source_id", "size_bytes", "mtime_ns", "metadata")
SOURCE_FILE, SIGNALS_FILE, FRAMES_FILE = "source.json", "signals.arrow", "frames.arrow"


@dataclass(frozen=True)
class Parts:
    """Parts of one batch that decoding fills."""

    sources: Path
    signals: Path
    sidecars: Path

    def are_made_from(self, digest: str) -> bool:
        """Return whether all three exist and were made from these inputs."""
        return all(is_made_from(part, digest) for part in (self.sources, self.signals, self.sidecars))

    def decoded(self) -> dict[str, dict[str, Any]]:
        """Return the rows of the sources that have been decoded, by their content."""
        rows = read_if_whole(self.sources)
        if rows is None or any(read_if_whole(part, ["source_id"]) is None for part in (self.signals, self.sidecars)):
            return {}  # so that everything is decoded again
        return {row["source_id"]: row for row in rows.to_pylist() if row["source_id"] and row["state"] != "duplicate"}


def collect(
    batch: InputBatch, owners: Mapping[str, str], folder_of: Callable[[str], Path], parts: Parts, *, digest: str
) -> None:
    """Write the parts of a batch whose files are all decoded.

    `owners` says which of several equal files counts, `folder_of` where the decode of a source left its folder; a
    source without one was decoded before and is taken over from the old parts.
    """
    before = parts.decoded()
    owned = [entry.source_id for entry in batch.entries if entry.source_id is not None and is_owner(entry, owners)]
    folders = {source: folder_of(source) for source in owned if is_scanned(folder_of(source))}
    _write_tables(parts.signals, _tables(owned, folders, parts.signals, SIGNALS_FILE), digest)
    _write_tables(parts.sidecars, _tables(owned, folders, parts.sidecars, FRAMES_FILE), digest)
    rows = {source: read_row(folders[source]) if source in folders else before[source] for source in owned}
    write_part(parts.sources, [_row(entry, owners, rows) for entry in batch.entries], SOURCES, digest=digest)
    for folder in folders.values():
        forget(folder)


def quarantine(sources: Path, reasons: Mapping[str, str], *, digest: str) -> None:
    """Change the state of sources that were decoded, and in which no cuts could be found; all frames are left out."""
    rows = read_part(sources).to_pylist()
    for row in rows:
        if row["source_id"] in reasons and row["state"] != "duplicate":
            reason = reasons[row["source_id"]]
            unused = {"reason": reason, "num_frames": row["num_frames"]}
            row |= {"state": QUARANTINED, "reason": reason, "num_frames": 0, "left_out": [*row["left_out"], unused]}
    write_part(sources, rows, SOURCES, digest=digest)


def is_owner(entry: Entry, owners: Mapping[str, str]) -> bool:
    """Return whether the entry is the first with its content."""
    return entry.source_id is not None and owners[entry.source_id] == entry.path


def _row(entry: Entry, owners: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if entry.source_id is None:
        found: Mapping[str, Any] = {"state": "refused", "reason": entry.reason}
    elif not is_owner(entry, owners):
        found = {"state": "duplicate", "reason": f"has the same bytes as {owners[entry.source_id]}"}
    else:
        found = rows[entry.source_id]
    return {**found, **{name: getattr(entry, name) for name in FROM_INPUTS}, "metadata": sorted(entry.metadata.items())}


def _tables(sources: list[str], folders: Mapping[str, Path], old: Path, name: str) -> Iterator[pa.Table]:
    """Yield one table for each source that has frames."""
    for source in sources:
        if source in folders:
            table = read_table(folders[source] / name)
            if table is not None:
                yield table
        elif old.exists():
            table = read_rows(old, pc.field("source_id") == source)
            if len(table):
                yield table


def _write_tables(path: Path, tables: Iterator[pa.Table], digest: str) -> None:
    """Write the tables as a group of rows each, with only one of them in memory at a time."""
    first = next(tables, pa.table({"source_id": pa.array([], pa.string())}))
    schema = first.schema.with_metadata({DIGEST: digest.encode()})
    with atomic_file(path) as partial, pq.ParquetWriter(partial, schema, **_parquet_options(schema)) as writer:
        writer.write_table(first.cast(schema))
        for table in tables:
            writer.write_table(table.cast(schema))


def _parquet_options(schema: pa.Schema) -> dict[str, Any]:
    """Return how a part with pictures is written: trying to shrink those that are compressed already takes long."""
    return {
        "compression": {name: "none" if name in _IS_SMALL_ALREADY else "zstd" for name in schema.names},
        "use_dictionary": [name for name in schema.names if name in _FEW_VALUES],
        "write_statistics": [name for name in schema.names if name not in ("jpeg", "picture")],
    }


def is_scanned(folder: Path) -> bool:
    """Return whether the decode has finished; the folder appears atomically."""
    return (folder / SOURCE_FILE).is_file()


def forget(folder: Path) -> None:
    """Remove the folder; if interrupted, the rest of it counts as not scanned."""
    (folder / SOURCE_FILE).unlink()
    shutil.rmtree(folder)


def read_row(folder: Path) -> dict[str, Any]:
    """Read the source's row, as far as it comes from the file itself."""
    return read_mapping(folder / SOURCE_FILE)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table for `read_table`, at hardly more cost than that of copying it."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def read_table(path: Path) -> pa.Table | None:
    """Read the signals or the small frames of a source; None if there are none."""
    if not path.exists():
        return None
    with pa.OSFile(str(path), "rb") as file:
        return pa.ipc.open_file(file).read_all()
