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

    On a GPU what PyTorch's tensors take, those included that were freed but may still be read by a kernel; on a CPU the
    resident set, which only Linux tells: elsewhere `peaks` stays empty. Of several clips it is the largest value.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._is_gpu = self._device.type == "cuda"
        self._can_measure = self._is_gpu or _can_restart()
        self._before = self._read("now") if self._can_measure else 0
        self.peaks: dict[RunStage, int] = {}

    @contextmanager
    def watch(self, stage: RunStage) -> Generator[None]:
        """Measure one stage."""
        if not self._can_measure:
            yield
            return
        if self._is_gpu:
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            _restart()
        yield
        peak = self._read("peak") - self._before
        self.peaks[stage] = max(self.peaks.get(stage, 0), peak)

    def _read(self, what: str) -> int:
        if self._is_gpu:
            return torch.cuda.memory_stats(self._device).get(
                "active_bytes.all.current" if what == "now" else "active_bytes.all.peak", 0
            )
        return resident_bytes("VmRSS" if what == "now" else "VmHWM")


def _can_restart() -> bool:
    """Whether the kernel tells the resident set and lets its peak be forgotten."""
    try:
        _restart()
        resident_bytes("VmHWM")
    except (OSError, IndexError):
        return False
    return True


def _restart() -> None:
    RESTART.write_text("5")  # the kernel's word for: forget the peak of the resident set


def resident_bytes(name: str = "VmRSS") -> int:
    """One of the kernel's figures about the resident set of this process (Linux)."""
    return 1024 * int(STATUS.read_text().partition(f"{name}:")[2].split()[0])
