"""The processes of a distributed job, as `torchrun` numbers them; without it there is one and all this is trivial."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

from videoldm.core.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.distributed import ProcessGroup

T = TypeVar("T")
R = TypeVar("R")

PATIENCE = timedelta(hours=2)
"""Longest wait for a slow process, as the first is while it renders data; a process that died is noticed at once."""


class OtherRankFailed(RuntimeError):  # noqa: N818 - not an error of this process
    """Another process failed and has reported why; this one ends silently."""


def rank() -> int:
    """Return the rank of this process, from 0."""
    return int(os.environ.get("RANK", "0"))


def world_size() -> int:
    """Return the number of processes."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process is the one that prints and writes."""
    return rank() == 0


def device_of_rank(device: str) -> str:
    """Return the device of this process in a job started with `device`: each process has its own GPU.

    Raises InputError if a single GPU is named, or the machine has fewer GPUs than processes.
    """
    if world_size() == 1 or device == "cpu":
        return device
    import torch

    local = int(os.environ.get("LOCAL_RANK", "0"))
    if device != "cuda":
        raise InputError(f"--device is {device!r}, with {world_size()} processes it should be cpu or cuda")
    if local >= torch.cuda.device_count():
        raise InputError(f"this machine has {torch.cuda.device_count()} GPUs, too few for its processes")
    return f"cuda:{local}"


@contextmanager
def process_group(device: str, *, even_alone: bool = False) -> Generator[None]:
    """Join the process group for the context, so that processes can exchange tensors: gloo on CPUs, NCCL on GPUs.

    A single process joins none, unless it uses a library that needs a group `even_alone`.
    """
    import torch
    import torch.distributed as dist

    if dist.is_initialized() or (world_size() == 1 and not even_alone):
        yield
        return
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)
    # Without torchrun there is no address at which the processes could meet.
    store = dist.HashStore() if "MASTER_ADDR" not in os.environ else None
    backend = "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo"
    dist.init_process_group(backend, store=store, rank=rank(), world_size=world_size(), timeout=PATIENCE)
    try:
        yield
    except BaseException:
        if world_size() == 1:
            dist.destroy_process_group()
        raise  # with others, leaving in order could mean to wait for those that are gone
    dist.destroy_process_group()


def local_share(items: Sequence[T]) -> Sequence[T]:
    """Return this process's contiguous part of `items`, whose number must be a multiple of the number of processes."""
    size, left = divmod(len(items), world_size())
    assert left == 0, f"{len(items)} items cannot be shared by {world_size()} processes"
    return items[rank() * size : (rank() + 1) * size]


def map_over_ranks(items: Sequence[T], function: Callable[[Sequence[T]], Sequence[R]]) -> list[R]:
    """Return `function` of all items in every process; each works on an equal part, or on all if they do not divide.

    Equal parts take equally many calls of a network: processes that share its weights must not differ in that.
    """
    if len(items) % world_size():
        return list(function(items))
    return [value for part in all_gather(list(function(local_share(items)))) for value in part]


def all_gather(value: T) -> list[T]:
    """Return the `value` of every process, in rank order."""
    if world_size() == 1:
        return [value]
    import torch.distributed as dist

    values: list[T | None] = [None] * world_size()
    dist.all_gather_object(values, value)
    return cast("list[T]", values)


def all_sum(values: Tensor) -> Tensor:
    """Return the sum of the processes' tensors, in every process."""
    if world_size() == 1:
        return values
    import torch.distributed as dist

    total = values.clone()
    dist.all_reduce(total)
    return total


def barrier() -> None:
    """Wait until every process has called this."""
    all_gather(None)


def on_first(function: Callable[[], T], group: ProcessGroup | None = None) -> T:
    """Return the result of `function` in the first process to all; raises OtherRankFailed in the others if it fails."""
    if world_size() == 1:
        return function()
    if not is_first():
        return cast("T", _from_first(None, group))
    try:
        value = function()
    except BaseException:
        _from_first(_Failed(), group)
        raise
    _from_first(value, group)
    return value


def first_then_others(function: Callable[[], T]) -> T:
    """Run `function` in every process, the first before the others, which then find on disk what it has written."""
    if world_size() == 1:
        return function()
    if is_first():
        results: list[T] = []
        on_first(lambda: results.append(function()))
        return results[0]
    _from_first(None, None)
    return function()


class _Failed:
    """Sent by the first process instead of a result."""


def _from_first(value: object, group: ProcessGroup | None) -> object:
    import torch.distributed as dist

    values = [value]
    dist.broadcast_object_list(values, src=0, group=group)
    if isinstance(values[0], _Failed) and not is_first():
        raise OtherRankFailed
    return values[0]
