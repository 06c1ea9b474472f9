"""Selections on disk: `selections/<name>/v0001/` with `selection.yaml`, `clips.parquet` and `report.json`.

`clips.parquet` holds the complete rows of the `clips` that are left, sorted by clip id.
"""

from __future__ import annotations

import filecmp
import hashlib
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from videoldm import __version__
from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder, write_json, write_text
from videoldm.curation.selection.config import Selection
from videoldm.curation.selection.evaluate import JUDGED, Judgement, kept
from videoldm.curation.store.view import OpenDataset, explained
from videoldm.dataset.tables import CLIPS

SELECTIONS = "selections"
CONFIG_FILE, CLIPS_FILE, REPORT_FILE = "selection.yaml", "clips.parquet", "report.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"v(\d{4,})")
# A multiple of the 2048 rows that DuckDB works on at once, so that groups of rows are equal in every run.
_ROWS_A_GROUP = 64 * 2048
_FOOTER_END = 8


@dataclass(frozen=True, slots=True)
class SavedSelection:
    """A selection on disk; `is_new` is false if the newest version was already equal."""

    folder: Path
    is_new: bool


def save_selection(dataset: OpenDataset, judgement: Judgement, folder: Path, name: str) -> SavedSelection:
    """Write the latest result of `judge` as the next version of the selection `name` of the dataset in `folder`.

    The same filters with the same result on the same tables make no new version. Raises InputError if the name cannot
    be that of a folder, or if no clip is left.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"the selection's name is {name!r}, it should consist of letters, digits, '.', '_' and '-'")
    judgement.check_any_left()
    versions = folder / SELECTIONS / name
    newest = _newest(versions)
    before, target = (versions / f"v{number:04}" for number in (newest, newest + 1))
    with atomic_folder(target) as partial:
        write_text(partial / CONFIG_FILE, to_yaml(judgement.selection))
        write_json(partial / REPORT_FILE, report(dataset, judgement))
        _write_clips(dataset, judgement, partial / CLIPS_FILE)
    if newest and _are_equal(target, before):
        shutil.rmtree(target)
        return SavedSelection(before, is_new=False)
    return SavedSelection(target, is_new=True)


def find_selection(folder: Path, name: str) -> Path:
    """Return the folder of the selection `name` (newest version) or `name/v0002`; InputError if missing."""
    base, _, version = name.partition("/")
    versions = folder / SELECTIONS / base
    found = versions / (version or f"v{_newest(versions):04}")
    is_name = _NAME.fullmatch(base) and _VERSION.fullmatch(found.name) and found.parent == versions
    if not is_name or not (found / CLIPS_FILE).is_file():
        names = sorted(path.name for path in (folder / SELECTIONS).glob("*") if _newest(path))
        has = f"it has {', '.join(names)}" if names else "it has none: make one with videoldm curate select"
        raise InputError(f"{name!r} is not a selection of {folder}, {has}")
    return found


def read_selection(folder: Path) -> Selection:
    """Read the filters of a saved selection."""
    path = folder / CONFIG_FILE
    return from_yaml(Selection, path.read_text(encoding="utf-8"), source=str(path))


def report(dataset: OpenDataset, judgement: Judgement) -> dict[str, Any]:
    """Return the counts of a selection and the versions of the tables it was made from, as JSON values."""
    tables = dataset.view.tables
    return {
        "videoldm": __version__,
        "num_clips": judgement.num_clips,
        "num_left": judgement.num_left,
        "filters": [counts.as_json() for counts in judgement.filters],
        "tables": {name: table_version(tables[name]) for name in judgement.tables},
    }


def table_version(parts: Sequence[Path]) -> dict[str, Any]:
    """Return rows and parts of a table, and a hash of names, sizes and footers (with sizes and ranges of columns)."""
    digest = hashlib.blake2b(digest_size=20)
    num_rows = 0
    for part in sorted(parts, key=lambda part: part.name):
        num_rows += pq.read_metadata(part).num_rows
        digest.update(f"{part.name}\0{part.stat().st_size}\0".encode())
        digest.update(_footer(part))
    return {"rows": num_rows, "parts": len(parts), "hash": digest.hexdigest()}


def _write_clips(dataset: OpenDataset, judgement: Judgement, path: Path) -> None:
    query = (
        f"SELECT * FROM clips WHERE clip_id IN (SELECT clip_id FROM {JUDGED} WHERE {kept(judgement.selection)}) "
        f"ORDER BY clip_id"
    )
    with explained():
        reader: pa.RecordBatchReader = dataset.connection.sql(query).to_arrow_reader(_ROWS_A_GROUP)
        known = reader.schema.names  # earlier versions had fewer columns
        schema = pa.schema([field for field in CLIPS if field.name in known])
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in reader:
                writer.write_batch(batch.select(schema.names).cast(schema))


def _footer(path: Path) -> bytes:
    """Return the metadata at the end of a Parquet file; its length stands in the four bytes before the final mark."""
    with path.open("rb") as file:
        file.seek(-_FOOTER_END, 2)
        length = int.from_bytes(file.read(4), "little")
        file.seek(-_FOOTER_END - length, 2)
        return file.read(length)


def _newest(folder: Path) -> int:
    """Return the number of the newest version, 0 if there is none."""
    matches = [_VERSION.fullmatch(path.name) for path in folder.glob("v*")]
    return max((int(match[1]) for match in matches if match), default=0)


def _are_equal(one: Path, other: Path) -> bool:
    files = [CONFIG_FILE, CLIPS_FILE, REPORT_FILE]
    return filecmp.cmpfiles(one, other, files, shallow=False)[0] == files
