"""The memory that is there for a model, and the peak that was in use."""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from videoldm.core.config import GIB
from videoldm.core.errors import InputError
from videoldm.inference.config import RunPhase

STATUS, RESTART = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMeter:
    """The peak memory of each phase of a run, in bytes above the memory in use when the meter was made.

    On a GPU it is the memory of PyTorch's tensors, including those that are freed but may still be read by a kernel;
    on a CPU it is the resident set, which only Linux reports: elsewhere `peaks` stays empty. Of several clips it is the
    largest value.
    """

    def __init__(self, device: str) -> None:
        self._device = torch.device(device)
        self._is_gpu = self._device.type == "cuda"
        self._can_measure = self._is_gpu or _can_restart()
        self._before = self._read("now") if self._can_measure else 0
        self.peaks: dict[RunPhase, int] = {}

    @contextmanager
    def watch(self, phase: RunPhase) -> Generator[None]:
        """Measure one phase within the context."""
        if not self._can_measure:
            yield
            return
        if self._is_gpu:
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            _restart()
        yield
        peak = self._read("peak") - self._before
        self.peaks[phase] = max(self.peaks.get(phase, 0), peak)

    def _read(self, what: str) -> int:
        if self._is_gpu:
            return torch.cuda.memory_stats(self._device).get(
                "active_bytes.all.current" if what == "now" else "active_bytes.all.peak", 0
            )
        return resident_bytes("VmRSS" if what == "now" else "VmHWM")


def _can_restart() -> bool:
    """Return whether the kernel reports the resident set and lets its peak be reset."""
    try:
        _restart()
        resident_bytes("VmHWM")
    except (OSError, IndexError):
        return False
    return True


def _restart() -> None:
    RESTART.write_text("5")  # resets the peak of the resident set


def resident_bytes(name: str = "VmRSS") -> int:
    """Return a value of /proc/self/status, by default the resident set of this process (Linux only)."""
    return 1024 * int(STATUS.read_text().partition(f"{name}:")[2].split()[0])


MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
SHARE = 0.95
"""Share of the free memory that is used; the rest is for other programs."""
# Memory beside the tensors that a forecast counts: the driver's part and the libraries' workspaces; on a CPU the
# libraries themselves, and blocks that the allocator does not return at once.
GPU_OVERHEAD, CPU_OVERHEAD = 0.8 * GIB, 1.0 * GIB


def usable_bytes(device: str, vram_gib: float | None) -> int:
    """Return the free memory for a model's tensors, of a GPU or for a CPU of the machine, at most `vram_gib`.

    Raises InputError for less memory than the libraries take.
    """
    is_gpu = torch.device(device).type == "cuda"
    overhead = GPU_OVERHEAD if is_gpu else CPU_OVERHEAD
    free = int(SHARE * (torch.cuda.mem_get_info(device)[0] if is_gpu else _free_on_machine()) - overhead)
    if vram_gib is None:
        return free
    usable = int(vram_gib * GIB - overhead)
    if usable <= 0:
        raise InputError(f"vram is {vram_gib:g} GiB, it should be more than {overhead / GIB:g}, which libraries take")
    return min(usable, free)


def _free_on_machine() -> int:
    """Return the memory that programs can still take, at most the rest of this process's control group (Linux)."""
    if not MEMINFO.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = 1024 * int(MEMINFO.read_text().partition("MemAvailable:")[2].split()[0])
    limit = CGROUP / "memory.max"
    if limit.exists() and (text := limit.read_text().strip()).isdecimal():
        available = min(available, int(text) - int((CGROUP / "memory.current").read_text()))
    return available
