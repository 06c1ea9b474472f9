"""Compiling a UNet block by block."""

from __future__ import annotations

import torch

from videoldm.models.unet.blocks import UNetBlock
from videoldm.models.unet.network import VideoUNet

MAX_VERSIONS = 64
"""Of one block's code; the blocks share it, so that this must be more than there are blocks."""


def compile_blocks(unet: VideoUNet) -> VideoUNet:
    """Compile every block of a UNet in place, when it first runs; the compiled code is kept on disk for later starts.

    Blocks of equal sizes share their code, and a second picture needs no new one; another size or number of frames
    does. Whole UNets take many times longer to compile and gain little, as convolutions and products stay library
    calls in any case.
    """
    torch._dynamo.config.recompile_limit = MAX_VERSIONS  # pyright: ignore[reportPrivateUsage] - its documented name
    for module in unet.modules():
        if isinstance(module, UNetBlock):
            module.compile(dynamic=False)
    return unet
