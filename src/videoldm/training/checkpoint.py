"""Saving and restoring the whole state of a run with PyTorch's distributed checkpoints."""

import re
import shutil
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed.checkpoint as dcp

from videoldm.core.files import atomic_folder, remove_partials
from videoldm.training.state import RunState

KEPT_CHECKPOINTS = 2


def save_checkpoint(folder: Path, state: RunState) -> None:
    """Write `folder/<samples seen>`, whole or not at all, and delete all but the newest checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    remove_partials(folder)
    with atomic_folder(folder / f"{state.samples_seen:012d}") as target, _single_process():
        dcp.save(state.values(), checkpoint_id=target)
    for old in _checkpoints(folder)[:-KEPT_CHECKPOINTS]:
        shutil.rmtree(old)


def load_checkpoint(folder: Path, state: RunState) -> None:
    """Restore the newest checkpoint below `folder` into `state`, which stays as it is where there is none."""
    checkpoints = _checkpoints(folder)
    if not checkpoints:
        return
    values = state.values()
    with _single_process():
        dcp.load(values, checkpoint_id=checkpoints[-1])
    state.restore(values)


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
