"""The memory that was really in use at most."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from videoldm.inference.config import RunStage

STATUS, RESTART = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMeter:
    """The most memory in use in each stage of a run, in bytes above what was in use when the meter was made.

    On a GPU what PyTorch's tensors take, on a CPU the resident set; only Linux tells that one, elsewhere `peaks` stays
    empty. Several clips leave the largest value of each stage.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._before = self._read("VmRSS")
        self.peaks: dict[RunStage, int] = {}

    @contextmanager
    def watch(self, stage: RunStage) -> Generator[None]:
        """Measure one stage."""
        if self._is_blind:
            yield
            return
        self._restart()
        yield
        peak = self._read("VmHWM") - self._before
        self.peaks[stage] = max(self.peaks.get(stage, 0), peak)

    @property
    def _is_blind(self) -> bool:
        return self._device.type != "cuda" and not RESTART.exists()

    def _restart(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            RESTART.write_text("5")  # the kernel's word for: forget the peak of the resident set

    def _read(self, name: str) -> int:
        """In use now (VmRSS) or at most since the restart (VmHWM)."""
        if self._device.type == "cuda":
            usage = torch.cuda.memory_allocated if name == "VmRSS" else torch.cuda.max_memory_allocated
            return usage(self._device)
        return resident_bytes(name) if STATUS.exists() else 0


def resident_bytes(name: str = "VmRSS") -> int:
    """One of the kernel's figures about the resident set of this process (Linux)."""
    return 1024 * int(STATUS.read_text().partition(f"{name}:")[2].split()[0])
