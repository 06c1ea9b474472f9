"""The run's log: one JSON line a record, mirrored to TensorBoard."""

import json
import math
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from videoldm.core.files import write_text
from videoldm.training.layout import LOG_FILE

SIGMA_BIN_EDGES = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)


class RunLog:
    """Appends records to `folder/log.jsonl` and to TensorBoard event files beside it.

    Records beyond `samples_seen`, from which the run goes on, are forgotten, so that no sample is logged twice.
    """

    def __init__(self, folder: Path, samples_seen: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._path = folder / LOG_FILE
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=samples_seen + 1)
        if self._path.exists():
            lines = self._path.read_text().splitlines()
            write_text(self._path, "".join(line + "\n" for line in lines if _is_within(line, samples_seen)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, samples_seen: int, values: dict[str, float]) -> None:
        """Add one record; values that are not finite are written as null."""
        record = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self._path.open("a") as file:
            file.write(json.dumps({"samples": samples_seen, **record}) + "\n")
        for name, value in values.items():
            self._writer.add_scalar(name, value, samples_seen)


class Meter:
    """Means of per-sample values since the last read, also per noise-level bin."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def add(self, name: str, values: Tensor) -> None:
        """Add per-sample values of shape `b`."""
        self._sums[name] = self._sums.get(name, 0.0) + float(values.detach().double().sum())
        self._counts[name] = self._counts.get(name, 0) + values.numel()

    def add_by_sigma(self, values: Tensor, sigma: Tensor) -> None:
        """Add per-sample losses to the bin of their noise level."""
        bins = torch.bucketize(sigma, torch.tensor(SIGMA_BIN_EDGES, dtype=sigma.dtype, device=sigma.device))
        for index in bins.unique().tolist():
            self.add(f"loss_sigma/{_bin_name(index)}", values[bins == index])

    def read(self) -> dict[str, float]:
        """The means so far; starts a new period."""
        means = {name: self._sums[name] / self._counts[name] for name in sorted(self._sums)}
        self._sums.clear()
        self._counts.clear()
        return means


def _is_within(line: str, samples_seen: int) -> bool:
    """Whether a line of the log is whole and not beyond that number of samples."""
    try:
        return json.loads(line)["samples"] <= samples_seen
    except ValueError:
        return False


def _bin_name(index: int) -> str:
    edges = (0.0, *SIGMA_BIN_EDGES, math.inf)
    return f"{edges[index]:g}-{edges[index + 1]:g}"
