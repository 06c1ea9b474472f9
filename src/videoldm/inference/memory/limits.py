"""How much memory there is for a model."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from videoldm.core.errors import InputError

GIB = 2**30
MEMINFO = Path("/proc/meminfo")
# What is there beside the tensors that a forecast counts: the driver's part and the libraries' workspaces; on a CPU the
# libraries themselves, and blocks that the allocator does not give back at once.
GPU_OVERHEAD, CPU_OVERHEAD = 0.8 * GIB, 1.0 * GIB


def usable_bytes(device: str, vram_gib: float | None) -> int:
    """Of a GPU's memory, on a CPU of that of the machine, what a model's tensors may take; None is all that is free.

    Raises InputError for less than the libraries take.
    """
    is_gpu = torch.device(device).type == "cuda"
    overhead = GPU_OVERHEAD if is_gpu else CPU_OVERHEAD
    if vram_gib is None:
        return int(0.95 * (_free_on_gpu(device) if is_gpu else _free_on_machine()) - (overhead if is_gpu else 0))
    usable = int(vram_gib * GIB - overhead)
    if usable <= 0:
        raise InputError(f"--vram is {vram_gib:g} GiB, it should be more than {overhead / GIB:g}, which libraries take")
    return usable


def _free_on_gpu(device: str) -> int:
    free, _ = torch.cuda.mem_get_info(device)
    return free


def _free_on_machine() -> int:
    if MEMINFO.exists():
        return 1024 * int(MEMINFO.read_text().partition("MemAvailable:")[2].split()[0])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
