"""Batches of inputs, the unit in which tables are written; the inputs of a batch never change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import Field, ValidationError

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.core.files import write_text
from videoldm.core.reading import file_hash
from videoldm.curation.inputs import Input, is_url, local_path, remote_size


class Entry(Config):
    """A file as it was when it was read."""

    path: str
    size_bytes: int | None = None
    mtime_ns: int | None = None
    source_id: str | None = None
    """Hash of its bytes; None if they cannot be read."""
    reason: str | None = None
    """Why they cannot be read."""
    metadata: Mapping[str, str] = Field(default_factory=dict)

    def is_as_it_was(self) -> bool:
        """Return whether the file still has the size and time that were recorded."""
        return (self.size_bytes, self.mtime_ns) == stamp(self.path)


class InputBatch(Config):
    """Inputs that share their parts."""

    number: int
    entries: tuple[Entry, ...]


def stamp(path: str) -> tuple[int | None, int | None]:
    """Return size and time of a file; for a URL its size alone."""
    if is_url(path):
        return remote_size(path), None
    try:
        status = Path(path).stat()
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def read_batches(folder: Path) -> list[InputBatch]:
    """Read all batches of a dataset, in order."""
    found: list[InputBatch] = []
    for path in folder.glob("[0-9]*.json"):
        try:
            found.append(InputBatch.model_validate_json(path.read_text()))
        except ValidationError as error:
            raise InputError(f"{path}: is broken, it should be a batch of inputs: {error.errors()[0]['msg']}") from None
    return sorted(found, key=lambda batch: batch.number)


def write_batch(folder: Path, batch: InputBatch) -> None:
    """Write a batch, replacing an earlier one of its number."""
    write_text(folder / f"{batch.number:05d}.json", batch.model_dump_json(indent=1))


def new_batches(known: Sequence[InputBatch], inputs: Sequence[Input], size: int) -> list[InputBatch]:
    """Return batches for the inputs that are in none yet; no file is read."""
    taken = {entry.path for batch in known for entry in batch.entries}
    entries = [Entry(path=one.path, metadata=dict(one.metadata)) for one in inputs if one.path not in taken]
    first = len(known)
    return [
        InputBatch(number=first + number, entries=tuple(entries[start : start + size]))
        for number, start in enumerate(range(0, len(entries), size))
    ]


def owners(batches: Sequence[InputBatch]) -> dict[str, str]:
    """Return for each content the first path that has it, of several the first that still exists."""
    found: dict[str, list[str]] = {}
    for batch in batches:
        for entry in batch.entries:
            if entry.source_id is not None:
                found.setdefault(entry.source_id, []).append(entry.path)
    return {source_id: _first_present(paths) for source_id, paths in found.items()}


def _first_present(paths: Sequence[str]) -> str:
    if len(paths) == 1:
        return paths[0]
    return next((path for path in paths if stamp(path) != (None, None)), paths[0])


def read_entry(entry: Entry) -> Entry:
    """Return the entry as its file is now, with a reason instead of a hash if it cannot be read."""
    size, mtime = stamp(entry.path)
    now = {"size_bytes": size, "mtime_ns": mtime}
    try:
        return entry.model_copy(update={**now, "source_id": file_hash(local_path(entry.path)), "reason": None})
    except InputError as error:
        reason = str(error).removeprefix(f"{entry.path}: ")
        # Without size and time it always counts as changed, and is tried again by every run.
        return entry.model_copy(update={"size_bytes": None, "mtime_ns": None, "source_id": None, "reason": reason})
