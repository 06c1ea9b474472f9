"""The folder of an export: one format, one export at a time, nothing of anybody else in it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Generator
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.core.files import read_mapping, remove_partials, write_json
from videoldm.core.locks import alone_in
from videoldm.dataset.export_files import INFO_FILE


@contextlib.contextmanager
def export_folder(folder: Path, export_format: str) -> Generator[Path]:
    """A new or empty folder, or one of an export of the same format that goes on; InputError for any other."""
    info = folder / INFO_FILE
    if info.exists():
        found = read_mapping(info).get("format")
        if found != export_format:
            raise InputError(f"{folder}: holds an export as {found}, give another folder for {export_format}")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: holds something else than an export, give an empty or a new folder")
    else:
        write_json(info, {"format": export_format})
    with alone_in(folder, "another export is writing to this folder, wait for it to end"):
        _clean(folder)
        yield folder


def _clean(folder: Path) -> None:
    """Take away what an export that was killed left half-written."""
    for each, folders, _ in os.walk(folder):
        remove_partials(each)
        for name in [name for name in folders if name.startswith(".")]:
            shutil.rmtree(Path(each, name))
            folders.remove(name)
