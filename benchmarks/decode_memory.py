"""Peak memory of decoding one clip: layer by layer for some chunk sizes, the whole clip at once, and diffusers'.

Each decoding runs in a process of its own, on the same random weights and latents. Printed is how far memory rose above
what weights and latents take: on a CPU the resident set (Linux only), on a GPU what tensors took; then the forecast,
the seconds, and the largest difference to decoding at once over the largest value. Diffusers takes part if installed.

  python benchmarks/decode_memory.py --num-frames 14 --height 256 --width 384 --dtype bfloat16 --threads 2
"""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table
from torch import Tensor

from videoldm.inference.config import Precision
from videoldm.inference.decode_memory import decode_peak_bytes
from videoldm.inference.precision import DTYPES
from videoldm.models.presets import PRESETS

WHOLE, THEIRS = "whole clip", "diffusers"
MIB = 2**20


@dataclass(frozen=True)
class Setting:
    """What is decoded, where."""

    preset: str
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
    arguments = parse_arguments()
    setting = Setting(
        arguments.model, arguments.num_frames, arguments.height, arguments.width,
        arguments.dtype, arguments.device, arguments.threads,
    )  # fmt: skip
    config = PRESETS[setting.preset].autoencoder
    title = f"{setting.preset}, {setting.num_frames} frames of {setting.width}x{setting.height}, {setting.dtype}"
    table = Table("decoding", "chunk", "peak MiB", "forecast MiB", "s", "largest difference", title=title)
    whole = in_new_process(setting, WHOLE)
    table.add_row(WHOLE, "", f"{whole.peak_bytes / MIB:.0f}", "", f"{whole.seconds:.1f}", "")
    for contender in [*arguments.chunks, THEIRS]:
        measured = in_new_process(setting, contender)
        if measured is None:
            continue
        difference = float((measured.pixels - whole.pixels).abs().max() / whole.pixels.abs().max())
        is_ours = contender != THEIRS
        forecast = decode_peak_bytes(
            config, num_frames=setting.num_frames, height=setting.height, width=setting.width,
            chunk_frames=contender, dtype=DTYPES[setting.dtype], device=setting.device,
        ) if is_ours else None  # fmt: skip
        table.add_row(
            "by layer" if is_ours else THEIRS,
            str(contender or "auto") if is_ours else "",
            f"{measured.peak_bytes / MIB:.0f}",
            f"{forecast / MIB:.0f}" if forecast else "",
            f"{measured.seconds:.1f}",
            f"{difference:.1e}",
        )
    Console().print(table)
