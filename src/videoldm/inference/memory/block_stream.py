"""A UNet whose weights lie in the host's memory and come to the device block by block."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from videoldm.models.unet.blocks import UNetBlock
from videoldm.models.unet.network import VideoUNet


class BlockStream:
    """Brings the weights of each block before it runs, those of the next one meanwhile, and drops them after it.

    What belongs to no block moves to the device for good. Blocks keep their weights in the host's memory, where they
    look as if they had never left, so that they can be saved and compared.
    """

    def __init__(self, unet: VideoUNet, device: torch.device | str) -> None:
        self._device = torch.device(device)
        self._blocks = _in_order(unet)
        in_blocks = {parameter for block in self._blocks for parameter in block.parameters()}
        for parameter in unet.parameters():
            if parameter not in in_blocks:
                parameter.data = parameter.data.to(self._device)
        is_gpu = self._device.type == "cuda"
        self._copies = torch.cuda.Stream(self._device) if is_gpu else None
        self._homes = [_home(block, is_pinned=is_gpu) for block in self._blocks]
        self._arriving: dict[int, Mapping[nn.Parameter, Tensor]] = {}
        for index, block in enumerate(self._blocks):
            block.register_forward_pre_hook(partial(self._enter, index))
            block.register_forward_hook(partial(self._leave, index), always_call=True)

    def _enter(self, index: int, *_: object) -> None:
        self._fetch(index)
        if self._copies is not None:
            torch.cuda.current_stream(self._device).wait_stream(self._copies)
        for parameter, arrived in self._arriving.pop(index).items():
            if self._copies is not None:
                arrived.record_stream(torch.cuda.current_stream(self._device))
            parameter.data = arrived
        self._fetch((index + 1) % len(self._blocks))

    def _leave(self, index: int, *_: object) -> None:
        for parameter, home in self._homes[index].items():
            parameter.data = home

    def _fetch(self, index: int) -> None:
        """Begin to copy a block's weights, unless that was done already."""
        if index in self._arriving:
            return
        with torch.cuda.stream(self._copies):  # None is no stream
            self._arriving[index] = {
                parameter: home.to(self._device, non_blocking=True, copy=True)
                for parameter, home in self._homes[index].items()
            }


def _home(block: UNetBlock, *, is_pinned: bool) -> dict[nn.Parameter, Tensor]:
    """The block's weights in the host's memory; pinned, so that they are copied while something else is computed."""
    homes = {parameter: parameter.data for parameter in block.parameters()}
    if is_pinned:
        for parameter in homes:
            homes[parameter] = parameter.data = parameter.data.pin_memory()
    return homes


def _in_order(unet: VideoUNet) -> list[UNetBlock]:
    """The blocks in the order in which they run."""
    parts = (*unet.down, unet.middle, *unet.up)
    return [block for part in parts for block in part.modules() if isinstance(block, UNetBlock)]
