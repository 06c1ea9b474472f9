"""Saving and restoring the whole state of a run with PyTorch's distributed checkpoints."""

import re
import shutil
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict
from torch.optim import Optimizer

from videoldm.core.files import atomic_folder, remove_partials
from videoldm.training.ema import Ema

KEPT_CHECKPOINTS = 2


def save_checkpoint(folder: Path, module: nn.Module, optimizer: Optimizer, ema: Ema, samples_seen: int) -> None:
    """Write `folder/<samples seen>`, whole or not at all, and delete all but the newest checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder)
    with atomic_folder(folder / f"{samples_seen:012d}") as target, _single_process():
        dcp.save(_state(module, optimizer, ema, samples_seen), checkpoint_id=target)
    for old in _checkpoints(folder)[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old)


def load_checkpoint(folder: Path, module: nn.Module, optimizer: Optimizer, ema: Ema) -> int:
    """Restore the newest checkpoint below `folder` in place; returns the samples seen, 0 where there is none."""
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return 0
    state = _state(module, optimizer, ema, 0)
    with _single_process():
        dcp.load(state, checkpoint_id=checkpoints[-1])
    module.load_state_dict(state["model"])
    set_optimizer_state_dict(module, optimizer, state["optimizer"])
    ema.num_updates = int(state["ema_updates"])
    return int(state["samples_seen"])


def _state(module: nn.Module, optimizer: Optimizer, ema: Ema, samples_seen: int) -> dict[str, Any]:
    return {
        "model": module.state_dict(),
        "optimizer": get_optimizer_state_dict(module, optimizer),
        "ema": ema.average,
        "ema_updates": torch.tensor(ema.num_updates),
        "samples_seen": torch.tensor(samples_seen),
    }


def _checkpoints(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if re.fullmatch(r"\d{12}", path.name))


@contextmanager
def _single_process() -> Generator[None]:
    """Silence the distributed package's remark that no process group exists: one process is what we run."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.distributed.*")
        yield
