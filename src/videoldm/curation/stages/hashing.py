"""What a file was when it was read: its size, its time, the hash of its bytes."""

from __future__ import annotations

from videoldm.core.errors import InputError
from videoldm.core.hashing import file_hash
from videoldm.curation.remote import local_path
from videoldm.curation.store.batches import Entry, stamp


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
