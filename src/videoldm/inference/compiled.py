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
"""Limit of compiled versions, one for each size of a block; all blocks share it, as they share their code."""
FOLDER_VARIABLE = "TORCHINDUCTOR_CACHE_DIR"
"""Variable from which torch reads the folder for compiled code; its own default is a temporary folder."""


def compile_blocks(unet: VideoUNet) -> VideoUNet:
    """Compile every block of a UNet in place when it first runs, and keep the code on disk for later processes.

    Blocks of equal sizes share their code; another size or number of frames is compiled anew, another picture is not.
    Whole UNets take many times longer to compile and gain little, as convolutions and matrix products remain library
    calls in either case.
    """
    _set_up()
    for block in unet.blocks:
        block.compile(dynamic=False)
    return unet


def is_compiled(unet: VideoUNet) -> bool:
    """Return whether `compile_blocks` was applied."""
    return any(block._compiled_call_impl is not None for block in unet.blocks)  # pyright: ignore[reportPrivateUsage]


def check_compiler(device: str) -> None:
    """Compile a tiny function; raises InputError if that fails, for example without a C++ compiler."""
    _set_up()
    try:
        torch.compile(_tiny, dynamic=False)(torch.ones(8, device=device))
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"the compiler does not work here ({_reason(error)}): {_remedy(device)} or leave out --compile"
        ) from error


def _remedy(device: str) -> str:
    if device.startswith("cuda"):
        return "install Triton, which PyTorch's packages for GPUs include, and a C compiler,"
    return "install a C++ compiler (packages g++ and python3-dev of Debian and Ubuntu)"


def code_folder() -> Path:
    """Return the folder for compiled code: TORCHINDUCTOR_CACHE_DIR, or else one in the user's cache folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen and chosen != default_cache_dir():  # torch sets the variable to its default itself
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
    """Return the first line of the message; the others are torch's traceback."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
