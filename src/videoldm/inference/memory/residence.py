"""Where weights are while a network does not work: read again from files, or in the host's memory block by block."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from videoldm.models.unet.blocks import UNetBlock
from videoldm.models.unet.network import VideoUNet


@dataclass(frozen=True)
class Residence:
    """Networks that are in memory only while they work, with functions that read their weights; others stay loaded."""

    fill: Mapping[nn.Module, Callable[[], object]] = field(default_factory=dict[nn.Module, Callable[[], object]])

    @contextmanager
    def at_work(self, network: nn.Module) -> Generator[None]:
        """Keep the weights of a network in memory within the context."""
        if network not in self.fill:
            yield
            return
        try:
            self.fill[network]()
            yield
        finally:
            network.to("meta")
            _give_back()


def _give_back() -> None:
    """Return freed memory to the system: glibc keeps blocks of less than 32 MiB, other libraries do not."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


ALL_STAY = Residence()


def stream_blocks(unet: VideoUNet, device: torch.device | str) -> None:
    """Copy the weights of each block to the device while the block before it runs, and drop them after it has run.

    Parameters outside of blocks move to the device for good. Between calls the parameters of blocks are those in the
    host's memory. Must be applied once.
    """
    blocks = unet.blocks
    in_blocks = {parameter for block in blocks for parameter in block.parameters()}
    for parameter in unet.parameters():
        if parameter not in in_blocks:
            parameter.data = parameter.data.to(device)
    kind = torch.device(device)
    stream = (_GpuStream if kind.type == "cuda" else _Stream)(blocks, kind)
    for index, block in enumerate(blocks):
        block.register_forward_pre_hook(partial(stream.enter, index))
        block.register_forward_hook(partial(stream.leave, index), always_call=True)


class _Stream:
    """Weights of all blocks in the host's memory, and of one block that is being copied."""

    def __init__(self, blocks: list[UNetBlock], device: torch.device) -> None:
        self._device = device
        self._homes = [{parameter: parameter.data for parameter in block.parameters()} for block in blocks]
        self._arriving: dict[int, Mapping[nn.Parameter, Tensor]] = {}

    def enter(self, index: int, *_: object) -> None:
        """Use the copied weights, before a block runs."""
        if index not in self._arriving:
            self._fetch(index)
        for parameter, arrived in self._arriving.pop(index).items():
            parameter.data = arrived

    def leave(self, index: int, *_: object) -> None:
        """Go back to the weights in the host's memory and copy those of the next block, after a block has run."""
        for parameter, home in self._homes[index].items():
            parameter.data = home
        self._fetch((index + 1) % len(self._homes))

    def _fetch(self, index: int) -> None:
        self._arriving.clear()
        self._arriving[index] = {
            parameter: home.to(self._device, non_blocking=True, copy=True)
            for parameter, home in self._homes[index].items()
        }


class _GpuStream(_Stream):
    """Copies on a CUDA stream of their own, parallel to the computation.

    Kernels run long after they were launched. So the host, which has just launched a block, waits until the one before
    it is done before it copies the next: else the weights of all blocks would arrive before the first has run.
    """

    def __init__(self, blocks: list[UNetBlock], device: torch.device) -> None:
        super().__init__(blocks, device)
        self._stream = torch.cuda.Stream(device)
        self._before = torch.cuda.Event()
        for home in self._homes:
            for parameter in home:
                # Only pinned memory is copied while the host continues.
                home[parameter] = parameter.data = parameter.data.pin_memory()

    def enter(self, index: int, *_: object) -> None:
        """Let the computation wait for the copied weights, before a block is launched."""
        super().enter(index)
        current = torch.cuda.current_stream(self._device)
        current.wait_stream(self._stream)
        for parameter in self._homes[index]:
            parameter.data.record_stream(current)

    def leave(self, index: int, *_: object) -> None:
        """Copy the weights of the next block when the block before is done, after a block was launched."""
        self._before.synchronize()
        self._before = torch.cuda.Event()
        self._before.record(torch.cuda.current_stream(self._device))
        super().leave(index)

    def _fetch(self, index: int) -> None:
        with torch.cuda.stream(self._stream):
            super()._fetch(index)
