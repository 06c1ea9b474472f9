"""Saving and restoring the whole state of a run with PyTorch's distributed checkpoints."""

from __future__ import annotations

import re
import shutil
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, cast

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.utils._pytree import tree_map_only

from videoldm.core import ranks
from videoldm.core.files import atomic_folder, remove_partials
from videoldm.training.state import RunState

KEPT_CHECKPOINTS = 2


class Checkpoints:
    """The checkpoints of a run, each whole or not there at all, in a folder that all processes see.

    A checkpoint is written while training goes on. What went wrong with it is raised by the next `save` or at the end
    of the context.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._writing: Future[None] | None = None
        # Of its own, so that what is said while writing does not mix with what is said in training.
        self._group = cast("dist.ProcessGroup", dist.new_group(backend="gloo")) if dist.is_initialized() else None
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # one process needs no group

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:  # another error matters more
            self._wait()

    def load(self, state: RunState) -> None:
        """Restore the newest checkpoint into `state`, however many processes wrote it; without one, leave it."""
        newest = ranks.on_first(lambda: self._finished()[-1:])
        if not newest:
            return
        values = state.values()
        dcp.load(values, checkpoint_id=newest[0], process_group=self._group)
        state.restore(values)

    def save(self, state: RunState) -> None:
        """Begin to write the state as it is now; when that is done, all but the newest checkpoints go."""
        self._wait()
        values = tree_map_only(Tensor, _copy, state.values())
        self._writing = self._thread.submit(self._write, values, self._folder / f"{state.samples_seen:012d}")

    def raise_failure(self) -> None:
        """Raise what went wrong with a checkpoint as soon as that is known; several processes are told by `save`."""
        if ranks.world_size() == 1 and self._writing is not None and self._writing.done():
            self._wait()

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _write(self, values: dict[str, Any], target: Path) -> None:
        with ExitStack() as stack:
            partial = ranks.on_first(lambda: stack.enter_context(atomic_folder(self._cleared(target))), self._group)
            try:
                dcp.save(values, checkpoint_id=partial, process_group=self._group)
            except CheckpointException as error:
                raise _first_failure(error) from error
        if ranks.is_first():
            for old in self._finished()[:-KEPT_CHECKPOINTS]:
                shutil.rmtree(old)

    def _cleared(self, target: Path) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        remove_partials(self._folder)
        return target

    def _finished(self) -> list[Path]:
        if not self._folder.is_dir():
            return []
        return sorted(path for path in self._folder.iterdir() if re.fullmatch(r"\d{12}", path.name))


def _copy(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True)


def _first_failure(error: CheckpointException) -> BaseException:
    """What went wrong in the first of the processes where something did; the first process alone tells it."""
    if not ranks.is_first():
        return ranks.OtherRankFailed()
    failure, _ = error.failures[min(error.failures)]
    return failure
