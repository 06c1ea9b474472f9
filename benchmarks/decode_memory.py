"""Peak memory of decoding one clip: by layers in chunks of frames, the whole clip at once, and by diffusers.

Each decoding runs in its own process, with the same random weights and latents. The benchmark prints how far memory
rose above these (the resident set on a CPU, Linux only; the tensors on a GPU), its forecast, the seconds, and the
largest difference to the whole clip at once over the largest value. Diffusers is included if it is installed.

  python benchmarks/decode_memory.py --num-frames 14 --height 256 --width 384 --dtype bfloat16 --threads 2
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any, get_args

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from videoldm.core.random import normal
from videoldm.evaluation.speed.contenders import diffusers_autoencoder, random_autoencoder
from videoldm.inference.config import Precision
from videoldm.inference.decode import decode
from videoldm.inference.decoder_sizes import decode_peak_bytes
from videoldm.inference.memory.meter import RESTART, resident_bytes
from videoldm.inference.precision import DTYPES
from videoldm.models.autoencoder.network import Autoencoder
from videoldm.models.presets import PRESETS

BY_LAYER, WHOLE, THEIRS = "by layer", "whole clip", "diffusers"
MIB = 2**20


@dataclass(frozen=True)
class Setting:
    """What is decoded, and where."""

    model: str
    num_frames: int
    height: int
    width: int
    dtype: Precision
    device: str
    threads: int


@dataclass(frozen=True)
class Measured:
    """What one decoding took, and what it gave."""

    peak_bytes: int
    seconds: float
    pixels: Tensor


def main() -> None:
    """Measure and print."""
    setting, chunks = parse_arguments()
    whole = in_new_process(setting, WHOLE)
    assert whole is not None
    title = f"{setting.model}, {setting.num_frames} frames of {setting.width}x{setting.height}, {setting.dtype}"
    table = Table("decoding", "chunk", "peak MiB", "of whole", "forecast MiB", "s", "largest difference", title=title)
    table.add_row(WHOLE, "", *sizes(whole, whole), "", f"{whole.seconds:.1f}", "")
    for chunk in chunks:
        measured = in_new_process(setting, BY_LAYER, chunk)
        assert measured is not None
        forecast = f"{forecast_bytes(setting, chunk) / MIB:.0f}"
        row = (*sizes(measured, whole), forecast, f"{measured.seconds:.1f}", difference(measured, whole))
        table.add_row(BY_LAYER, str(chunk or "auto"), *row)
    theirs = in_new_process(setting, THEIRS)
    if theirs is not None:
        table.add_row(THEIRS, "", *sizes(theirs, whole), "", f"{theirs.seconds:.1f}", difference(theirs, whole))
    Console().print(table)
    print(f"torch {torch.__version__}, {setting.device}, {setting.threads} threads, load {os.getloadavg()[0]:.1f}")


def parse_arguments() -> tuple[Setting, list[int]]:
    """The setting and the chunk sizes, where 0 stands for the automatic one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="svd", choices=sorted(PRESETS))
    parser.add_argument("--num-frames", type=int, default=4)
    parser.add_argument("--height", type=int, default=64)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--dtype", default="float32", choices=get_args(Precision))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--chunks", type=int, nargs="+", default=[0, 1, 2], metavar="N", help="0 is automatic")
    values = vars(parser.parse_args())
    chunks = values.pop("chunks")
    return Setting(**values), chunks


def forecast_bytes(setting: Setting, chunk: int) -> int:
    """What is expected of decoding by layers."""
    return decode_peak_bytes(
        PRESETS[setting.model].autoencoder,
        num_frames=setting.num_frames,
        height=setting.height,
        width=setting.width,
        precision=setting.dtype,
        chunk_frames=chunk or None,
        device=torch.device(setting.device).type,
    )


def sizes(measured: Measured, whole: Measured) -> tuple[str, str]:
    """The peak, and the peak as a share of that for the whole clip at once."""
    return f"{measured.peak_bytes / MIB:.0f}", f"{measured.peak_bytes / whole.peak_bytes:.0%}"


def difference(measured: Measured, whole: Measured) -> str:
    """The largest difference between two results, over the largest value."""
    distance = (measured.pixels.float() - whole.pixels.float()).abs().max() / whole.pixels.float().abs().max()
    return f"{float(distance):.1e}"


def in_new_process(*arguments: Any) -> Measured | None:
    """Measure where nothing was allocated before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, *arguments).result()


@torch.inference_mode()
def measure(setting: Setting, contender: str, chunk: int = 0) -> Measured | None:
    """Decode once, after a very small clip for what is set up only once; None if diffusers is not installed."""
    torch.set_num_threads(setting.threads)
    device, dtype = torch.device(setting.device), DTYPES[setting.dtype]
    config = PRESETS[setting.model].autoencoder
    autoencoder = random_autoencoder(config, dtype=dtype, device=device)
    call = decoding(autoencoder, contender, chunk)
    if call is None:
        return None
    latents = [
        normal((1, num_frames, config.latent_channels, height, width), 0, "latents").to(device, dtype)
        for num_frames, height, width in (
            (2, 2, 2),
            (setting.num_frames, setting.height // config.factor, setting.width // config.factor),
        )
    ]
    call(latents[0])
    before = restart_peak(device)
    start = time.perf_counter()
    pixels = call(latents[1]).cpu()
    seconds = time.perf_counter() - start
    return Measured(peak_bytes(device) - before, seconds, pixels.reshape(-1, *pixels.shape[-3:]))


def decoding(autoencoder: Autoencoder, contender: str, chunk: int) -> Callable[[Tensor], Tensor] | None:
    """How a contender decodes latents `1 t z h w`."""
    if contender == BY_LAYER:
        return lambda latents: decode(autoencoder, latents, chunk_frames=chunk or None)
    if contender == WHOLE:
        return autoencoder.decode
    theirs: Any = diffusers_autoencoder(autoencoder)
    return theirs and (lambda latents: theirs.decode(latents[0], num_frames=latents.shape[1]).sample)


def restart_peak(device: torch.device) -> int:
    """Forget the peak so far, and return the memory in use."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    RESTART.write_text("5")
    return resident_bytes("VmRSS")


def peak_bytes(device: torch.device) -> int:
    """The most memory in use since then."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident_bytes("VmHWM")


if __name__ == "__main__":
    main()
