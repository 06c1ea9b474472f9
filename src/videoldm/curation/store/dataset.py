"""Folder of a dataset: its layout, and the lock that lets one run at a time write to it.

dataset.json                            format, and which tables are current
batches/00000.json                      inputs, in the order in which they came
TABLE/HASH/00000.parquet                one part a batch; HASH is that of everything that decides its values
annotations/NAME/HASH/00000.parquet
selections/NAME/v0001/                  clips selected for training
aesthetic_head.safetensors              head fitted to ratings of these clips, if there are any
rates.json                              how long stages took
work/                                   results of a run that has not finished
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.core.files import folder_lock, remove_partials, write_json
from videoldm.core.reading import read_mapping
from videoldm.curation.config import CurationConfig
from videoldm.curation.cuts.config import SIGNALS_VERSION
from videoldm.curation.cuts.judges import judges_hash
from videoldm.dataset.config import DATASET_FILE

if TYPE_CHECKING:
    from videoldm.curation.store.view import DatasetView

FORMAT = 1
DECODING = "7"
"""Changes whenever decoding gives other tables, so that they are made anew."""
AESTHETIC_HEAD = "aesthetic_head.safetensors"


@dataclass(frozen=True)
class Table:
    """A table as one configuration makes it: a part for each batch."""

    folder: Path

    def part(self, batch: int) -> Path:
        """Return the path of the part of a batch."""
        return self.folder / f"{batch:05d}.parquet"

    @property
    def parts(self) -> list[Path]:
        """All existing parts, in the order of their batches."""
        # Without partial files, whose names begin with a dot; by number, which may have more than five digits.
        return sorted(self.folder.glob("[0-9]*.parquet"), key=lambda path: int(path.stem))


class Dataset:
    """A dataset's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def open(cls, folder: str | Path) -> Dataset:
        """Open an existing dataset; raises InputError if there is none, or if it has another format."""
        dataset = cls(Path(folder))
        if not (dataset.folder / DATASET_FILE).is_file():
            raise InputError(f"{folder}: is not a dataset, it has no {DATASET_FILE}; videoldm curate run makes one")
        found = dataset._info.get("format")
        if found != FORMAT:
            raise InputError(f"{folder}: is a dataset of format {found}, this program reads {FORMAT}")
        return dataset

    @classmethod
    def create(cls, folder: str | Path) -> Dataset:
        """Open an existing dataset, or create one in an empty or missing folder."""
        path = Path(folder)
        if (path / DATASET_FILE).exists():
            return cls.open(path)
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise InputError(f"{folder}: holds something other than a dataset, give an empty or a new folder")
        write_json(path / DATASET_FILE, {"format": FORMAT, "tables": {}, "annotations": {}})
        return cls(path)

    @contextlib.contextmanager
    def locked(self) -> Generator[None]:
        """Lock the folder and remove partial files; raises InputError if another run is writing to it."""
        with folder_lock(self.folder, "another run is writing to this dataset, wait for it to end"):
            for folder, _, _ in os.walk(self.folder):
                remove_partials(folder)  # left by a run that was killed
            yield

    def table(self, name: str, config_hash: str) -> Table:
        """Return a table as the configuration with that hash makes it."""
        return Table(self.folder / name / config_hash)

    def annotation(self, name: str, config_hash: str) -> Table:
        """Return an annotation as the configuration with that hash makes it."""
        return Table(self.folder / "annotations" / name / config_hash)

    @property
    def work(self) -> Path:
        """Folder for what a run has made and no part holds yet."""
        return self.folder / "work"

    @property
    def aesthetic_head(self) -> Path:
        """Path of a head that was fitted to ratings of these clips."""
        return self.folder / AESTHETIC_HEAD

    @property
    def batches(self) -> Path:
        """Folder of the batches."""
        return self.folder / "batches"

    def set_current(self, tables: Mapping[str, str], annotations: Mapping[str, str]) -> None:
        """Set which configurations' tables are the dataset; annotations that are not named stay as they are."""
        kept = read_mapping(self.folder / DATASET_FILE)["annotations"]
        write_json(
            self.folder / DATASET_FILE, {"format": FORMAT, "tables": dict(tables), "annotations": kept | annotations}
        )

    def current(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the hashes of the tables and annotations that are the dataset."""
        info = read_mapping(self.folder / DATASET_FILE)
        return info["tables"], info["annotations"]

    def view(self) -> DatasetView:
        """Return the current tables, for queries."""
        from videoldm.curation.store.view import DatasetView

        tables, annotations = self.current()

        def parts(name: str) -> list[Path]:
            return self.table(name, tables[name]).parts if name in tables else []

        return DatasetView(
            clips=parts("clips"),
            sources=parts("sources"),
            transitions=parts("transitions"),
            sidecars=parts("sidecars"),
            annotations={name: self.annotation(name, config_hash).parts for name, config_hash in annotations.items()},
        )

    @cached_property
    def _info(self) -> dict[str, Any]:
        return read_mapping(self.folder / DATASET_FILE)


def config_hash(*parts: Config | Mapping[str, Any] | str) -> str:
    """Hash everything that decides a table's values: 16 hexadecimal digits."""
    lines = [json.dumps(part.model_dump(mode="json") if isinstance(part, Config) else part) for part in parts]
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class Hashes:
    """Hash of each table and annotation, by name; a table is made anew when its hash changes, and only then."""

    tables: Mapping[str, str]
    annotations: Mapping[str, str]

    @classmethod
    def of(cls, config: CurationConfig) -> Hashes:
        """Return the hashes of one configuration."""
        decoded = config_hash(
            DECODING, SIGNALS_VERSION, {"stream": config.stream}, config.sidecar, config.cuts.candidates
        )
        divided = config_hash(decoded, {"judges": judges_hash()}, config.cuts, config.clips)
        annotations: dict[str, str] = {}
        for one in config.annotations:
            # The configuration ensures that it comes after those that it needs.
            annotations[one.name] = config_hash(decoded, one.identity(), *(annotations[name] for name in one.needs))
        for one in config.possible_comparisons:
            compared = [annotations[name] for name in one.needs if name in annotations]
            annotations[one.name] = config_hash(decoded, one.identity(), *compared)
        return cls(
            tables={
                **dict.fromkeys(("sources", "signals", "sidecars"), decoded),
                **dict.fromkeys(("transitions", "clips"), divided),
            },
            annotations=annotations,
        )
