"""Batches of inputs, the unit in which tables are written; a batch never changes its inputs."""

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
    """The hash of its bytes; None if they cannot be read."""
    reason: str | None = None
    """Why they cannot."""
    metadata: Mapping[str, str] = Field(default_factory=dict)

    def is_as_it_was(self) -> bool:
        """Whether size and time of the file are still those that were seen."""
        return (self.size_bytes, self.mtime_ns) == stamp(self.path)


class Batch(Config):
    """Inputs that share their parts."""

    number: int
    entries: tuple[Entry, ...]


def stamp(path: str) -> tuple[int | None, int | None]:
    """Size and time of a file; of a URL its size alone."""
    if is_url(path):
        return remote_size(path), None
    try:
        status = Path(path).stat()
    except OSError:
        return None, None
    return status.st_size, status.st_mtime_ns


def read_batches(folder: Path) -> list[Batch]:
    """All batches of a dataset, in order."""
    found: list[Batch] = []
    for path in folder.glob("[0-9]*.json"):
        try:
            found.append(Batch.model_validate_json(path.read_text()))
        except ValidationError as error:
            raise InputError(f"{path}: is broken, no batch can be read from it: {error.errors()[0]['msg']}") from None
    return sorted(found, key=lambda batch: batch.number)


def write_batch(folder: Path, batch: Batch) -> None:
    """Write a batch in place of what was there."""
    write_text(folder / f"{batch.number:05d}.json", batch.model_dump_json(indent=1))


def new_batches(known: Sequence[Batch], inputs: Sequence[Input], size: int) -> list[Batch]:
    """Batches for the inputs that are in none yet; nothing is read of them."""
    taken = {entry.path for batch in known for entry in batch.entries}
    entries = [Entry(path=one.path, metadata=dict(one.metadata)) for one in inputs if one.path not in taken]
    first = len(known)
    return [
        Batch(number=first + number, entries=tuple(entries[start : start + size]))
        for number, start in enumerate(range(0, len(entries), size))
    ]


def owners(batches: Sequence[Batch]) -> dict[str, str]:
    """For each content the first path that has it; of several the first that is still there."""
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


def look_at(entry: Entry) -> Entry:
    """The entry as its file is now; what cannot be read has a reason in place of a hash."""
    size, mtime = stamp(entry.path)
    now = {"size_bytes": size, "mtime_ns": mtime}
    try:
        return entry.model_copy(update={**now, "source_id": file_hash(local_path(entry.path)), "reason": None})
    except InputError as error:
        reason = str(error).removeprefix(f"{entry.path}: ")
        # Without size and time it never is as it was, and is tried again by every run.
        return entry.model_copy(update={"size_bytes": None, "mtime_ns": None, "source_id": None, "reason": reason})
