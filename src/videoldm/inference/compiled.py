"""Compiling a UNet block by block, with the compiled code kept on disk."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import Tensor
from torch._inductor.runtime.cache_dir_utils import default_cache_dir

from videoldm.core.errors import InputError
from videoldm.models.unet.network import VideoUNet

MAX_VERSIONS = 1024
"""Of one block's code, a version for each size. All blocks share it, so this is for all blocks together."""
FOLDER_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Where torch reads which folder to keep compiled code in; its own default is a temporary one."""


def compile_blocks(unet: VideoUNet) -> VideoUNet:
    """Compile every block of a UNet in place, when it first runs; the compiled code is kept on disk for later starts.

    Blocks of equal sizes share their code, and a second picture needs no new one; another size or number of frames
    does. Whole UNets take many times longer to compile and gain little, as convolutions and products stay library
    calls in any case.
    """
    _set_up()
    for block in unet.blocks:
        block.compile(dynamic=False)
    return unet


def is_compiled(unet: VideoUNet) -> bool:
    """Whether `compile_blocks` has been here."""
    return any(block._compiled_call_impl is not None for block in unet.blocks)  # pyright: ignore[reportPrivateUsage]


def check_compiler(device: str) -> None:
    """Compile something tiny; raises InputError where that fails, as without a C++ compiler."""
    _set_up()
    try:
        torch.compile(_tiny, dynamic=False)(torch.ones(8, device=device))
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"nothing can be compiled here ({_reason(error)}): {_remedy(device)} or do without --compile"
        ) from error


def _remedy(device: str) -> str:
    if device.startswith("cuda"):
        return "install Triton, which PyTorch's packages for GPUs bring along, and a C compiler,"
    return "install a C++ compiler (packages g++ and python3-dev of Debian and Ubuntu)"


def code_folder() -> Path:
    """Where compiled code is kept: what TORCHINDUCTOR_CACHE_DIR says, or else a folder among the user's caches."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen and chosen != default_cache_dir():  # which torch puts there itself as soon as it is asked
        return Path(chosen)
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "videoldm" / "compiled"


def _set_up() -> None:
    os.environ[FOLDER_VARIABLE] = str(code_folder())
    config = torch._dynamo.config  # pyright: ignore[reportPrivateUsage] - its documented name
    config.recompile_limit = MAX_VERSIONS
    config.accumulated_recompile_limit = MAX_VERSIONS


def _tiny(x: Tensor) -> Tensor:
    return x + 1


def _reason(error: Exception) -> str:
    """The first line of its message; the others say where in torch it came from."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
