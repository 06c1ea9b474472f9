"""The run's log: one JSON line a record, also sent to TensorBoard and other watchers by the first process."""

import json
import math
import resource
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

from videoldm.core import ranks
from videoldm.core.config import GIB
from videoldm.core.files import write_text
from videoldm.training.folder import LOG_FILE

SIGMA_BIN_EDGES = (0.05, 0.2, 0.5, 1.0, 2.0, 5.0, 20.0)


class Watcher(Protocol):
    """Receives the numbers of a run, in its first process."""

    def write(self, samples_seen: int, values: Mapping[str, float]) -> None:
        """Receive one record; some of its values may not be finite."""
        ...

    def close(self) -> None:
        """Finish: the run has ended or was interrupted."""
        ...


class RunLog:
    """Log of a run in `folder/log.jsonl`, with TensorBoard event files beside it, and its watchers.

    Records beyond `samples_seen`, from which the run resumes, are removed, so that no sample is logged twice.
    """

    def __init__(self, folder: Path, samples_seen: int, watchers: Sequence[Watcher] = ()) -> None:
        self._path = folder / LOG_FILE
        self._writer, self._watchers = None, watchers
        if not ranks.is_first():
            return
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=samples_seen + 1)
        if self._path.exists():
            lines = self._path.read_text().splitlines()
            write_text(self._path, "".join(line + "\n" for line in lines if _is_within(line, samples_seen)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._writer is None:
            return
        with ExitStack() as stack:
            for watcher in (self._writer, *self._watchers):
                stack.callback(watcher.close)

    def write(self, samples_seen: int, values: dict[str, float]) -> None:
        """Add one record; values that are not finite are written as null."""
        if self._writer is None:
            return
        record = {name: value if math.isfinite(value) else None for name, value in values.items()}
        with self._path.open("a") as file:
            file.write(json.dumps({"samples": samples_seen, **record}) + "\n")
        for name, value in values.items():
            self._writer.add_scalar(name, value, samples_seen)
        for watcher in self._watchers:
            watcher.write(samples_seen, values)


class Meter:
    """Means of per-sample values of all processes since the last read, also for each bin of noise levels."""

    def __init__(self) -> None:
        self._values: dict[str, list[Tensor]] = {}
        self._by_sigma: list[tuple[Tensor, Tensor]] = []

    def add(self, name: str, values: Tensor) -> None:
        """Add per-sample values of shape `b`; nothing is computed yet, so that no device has to be waited for."""
        self._values.setdefault(name, []).append(values.detach())

    def add_by_sigma(self, values: Tensor, sigma: Tensor) -> None:
        """Add per-sample losses to the bin of their noise level."""
        self._by_sigma.append((values.detach(), sigma))

    def read(self) -> dict[str, float]:
        """Return the means so far and start a new period."""
        sums: dict[str, tuple[float, int]] = {}
        for one in ranks.all_gather(self._sums()):
            for name, (total, count) in one.items():
                before = sums.get(name, (0.0, 0))
                sums[name] = (before[0] + total, before[1] + count)
        self._values.clear()
        self._by_sigma.clear()
        return {name: total / count for name, (total, count) in sorted(sums.items())}

    def _sums(self) -> dict[str, tuple[float, int]]:
        """Return sum and number of this process's values."""
        values = {name: torch.cat(parts) for name, parts in self._values.items()}
        if self._by_sigma:
            losses = torch.cat([loss for loss, _ in self._by_sigma])
            sigma = torch.cat([sigma for _, sigma in self._by_sigma]).to(losses.device)
            bins = torch.bucketize(sigma, torch.tensor(SIGMA_BIN_EDGES, dtype=sigma.dtype, device=sigma.device))
            values |= {f"loss_sigma/{_bin_name(index)}": losses[bins == index] for index in bins.unique().tolist()}
        return {name: (float(part.double().sum()), part.numel()) for name, part in values.items()}


class Clock:
    """Speed of a run since the last read, the share of time spent waiting for data, and peak memory."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._began, self._samples, self._waited_s = device, time.monotonic(), 0, 0.0

    def waited(self, seconds: float) -> None:
        """Count time spent waiting for data."""
        self._waited_s += seconds

    def stepped(self, num_samples: int) -> None:
        """Count a step."""
        self._samples += num_samples

    @contextmanager
    def paused(self) -> Generator[None]:
        """Leave out the time within the context, in which nothing is learned."""
        begin = time.monotonic()
        yield
        self._began += time.monotonic() - begin

    def read(self) -> dict[str, float]:
        """Return the values so far and start a new period; waiting is a mean over processes, memory the maximum."""
        seconds = time.monotonic() - self._began
        waited, memory = zip(*ranks.all_gather((self._waited_s, _peak_memory(self._device))), strict=True)
        figures = {
            "seconds": seconds,
            "samples_per_second": self._samples / seconds,
            "waiting_share": sum(waited) / len(waited) / seconds,
            "peak_memory_gib": max(memory) / GIB,
        }
        self._began, self._samples, self._waited_s = time.monotonic(), 0, 0.0
        return figures


def _peak_memory(device: torch.device) -> int:
    """Return the peak of a GPU's memory since the last call in bytes; without a GPU, that of the process ever."""
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        return peak
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _is_within(line: str, samples_seen: int) -> bool:
    """Whether a line of the log is complete and not beyond that number of samples."""
    try:
        return json.loads(line)["samples"] <= samples_seen
    except ValueError:
        return False


def _bin_name(index: int) -> str:
    edges = (0.0, *SIGMA_BIN_EDGES, math.inf)
    return f"{edges[index]:g}-{edges[index + 1]:g}"
