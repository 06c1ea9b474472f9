"""How much memory there is for a model."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from videoldm.core.config import GIB
from videoldm.core.errors import InputError

MEMINFO, CGROUP = Path("/proc/meminfo"), Path("/sys/fs/cgroup")
SHARE = 0.95
"""Of what is free; the rest is for what other programs take meanwhile."""
# What is there beside the tensors that a forecast counts: the driver's part and the libraries' workspaces; on a CPU the
# libraries themselves, and blocks that the allocator does not give back at once.
GPU_OVERHEAD, CPU_OVERHEAD = 0.8 * GIB, 1.0 * GIB


def usable_bytes(device: str, vram_gib: float | None) -> int:
    """Of a GPU's memory, on a CPU of the machine's, what a model's tensors may take: what is free, or less if said so.

    Raises InputError for less than the libraries take.
    """
    is_gpu = torch.device(device).type == "cuda"
    overhead = GPU_OVERHEAD if is_gpu else CPU_OVERHEAD
    free = int(SHARE * (torch.cuda.mem_get_info(device)[0] if is_gpu else _free_on_machine()) - overhead)
    if vram_gib is None:
        return free
    usable = int(vram_gib * GIB - overhead)
    if usable <= 0:
        raise InputError(f"--vram is {vram_gib:g} GiB, it should be more than {overhead / GIB:g}, which libraries take")
    return min(usable, free)


def _free_on_machine() -> int:
    """Memory that programs could still take, no more than what is left to this process's group (Linux)."""
    if not MEMINFO.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    available = 1024 * int(MEMINFO.read_text().partition("MemAvailable:")[2].split()[0])
    limit = CGROUP / "memory.max"
    if limit.exists() and (text := limit.read_text().strip()).isdecimal():
        available = min(available, int(text) - int((CGROUP / "memory.current").read_text()))
    return available
