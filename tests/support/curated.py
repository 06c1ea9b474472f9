"""Runs of curation in one process, for tests."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from videoldm.curation.annotators.motion import MotionConfig
from videoldm.curation.config import CurationConfig, Limits
from videoldm.curation.executors.local import outcome
from videoldm.curation.inputs import find_inputs
from videoldm.curation.run import Run
from videoldm.curation.status import RATES_FILE
from videoldm.curation.store.dataset import Dataset

CONFIG = CurationConfig(batch_size=4, annotations=(MotionConfig(),))


class Inline:
    """An executor without processes, that remembers what it was asked to do."""

    num_workers = 1

    def __init__(self) -> None:
        self.done: list[tuple[str, Any]] = []

    def run(self, function: Callable[[Any], Any], tasks: Sequence[Any], limits: Limits) -> Iterator[tuple[int, Any]]:
        for place, task in enumerate(tasks):
            self.done.append((function.__name__, task))
            yield place, outcome(function, task)

    def names(self) -> list[str]:
        """What was done since the last look."""
        names, self.done = [name for name, _ in self.done], []
        return names

    def counts(self) -> dict[str, int]:
        """The same, and how often."""
        return dict(Counter(self.names()))


def curate(folder: Path, *inputs: Path, config: CurationConfig = CONFIG, executor: Any = None) -> Dataset:
    dataset = Dataset.create(folder)
    with dataset.locked():
        Run(dataset, config, executor or Inline())(find_inputs([str(path) for path in inputs]))
    return dataset


def rows(dataset: Dataset, table: str) -> list[dict[str, Any]]:
    """Rows of a current table or annotation."""
    return [row for part in dataset.view().tables[table] for row in pq.ParquetFile(part).read().to_pylist()]


def files(folder: Path) -> dict[str, bytes]:
    """All that a run is to leave, by name, whatever happened to it and however long it took."""
    found = {os.path.relpath(path, folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {name: data for name, data in sorted(found.items()) if name not in ("lock", RATES_FILE)}
