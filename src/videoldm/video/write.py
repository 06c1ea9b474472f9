"""Writing clips: the file extension decides the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.video.encode import (
    check_gif_rate,
    encode_gif,
    encode_mkv,
    encode_mp4,
    encode_png,
    encode_webp,
    write_png_folder,
)
from videoldm.video.metadata import pack, write_sidecar
from videoldm.video.pixels import to_uint8
from videoldm.video.time import parse_rate

Pictures = UInt8[np.ndarray, "t h w 3"]
_Encoder = Callable[[Path, Pictures, Fraction, str | None], None]

_ENCODERS: dict[str, _Encoder] = {
    ".mp4": encode_mp4,
    ".mkv": encode_mkv,
    ".gif": encode_gif,
    ".webp": encode_webp,
    ".png": encode_png,
}


def write_video(
    path: str | Path,
    pixels: Float[Tensor, "t c h w"] | UInt8[Tensor, "t c h w"],
    fps: Fraction | float,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a clip, pixels in [-1, 1] (clamped) or uint8 0..255, to play at `fps` frames a second.

    `.mp4` is H.264 that browsers play (odd sizes grow by one row or column), `.mkv` lossless FFV1, `.gif` and `.webp`
    are animations that repeat, `.png` takes one frame, a name without extension is a folder of numbered PNG frames (an
    earlier such folder is replaced). `metadata`, plain JSON values, goes into the file and a JSON file beside it.
    Atomic; raises InputError for an unknown extension, a rate that the format cannot have, pixels that are not finite,
    or a path that cannot be written to.
    """
    pictures = _pictures(pixels)
    check_output(path, fps, num_frames=len(pictures))
    rate, suffix = parse_rate(fps), Path(path).suffix.lower()
    text = None if metadata is None else pack(metadata)
    if not suffix:
        write_png_folder(path, pictures, text)
    else:
        with atomic_file(path) as partial:
            _ENCODERS[suffix](partial, pictures, rate, text)
    write_sidecar(path, metadata)


def check_output(path: str | Path, fps: Fraction | float, *, num_frames: int) -> None:
    """Raise InputError if `write_video` could not write such a clip there; for use before long work."""
    rate, suffix = parse_rate(fps), Path(path).suffix.lower()
    if suffix and suffix not in _ENCODERS:
        raise InputError(
            f"{path}: unknown extension {suffix!r}, it should be one of {', '.join(_ENCODERS)}, or none for a "
            f"folder of PNG frames"
        )
    if suffix == ".gif":
        check_gif_rate(rate)
    if suffix == ".png" and num_frames != 1:
        raise InputError(f"{path}: a .png holds one frame, not {num_frames}: give a name without extension (a folder)")


def _pictures(pixels: Tensor) -> Pictures:
    if pixels.ndim != 4 or pixels.shape[1] != 3 or 0 in pixels.shape:
        raise InputError(f"pixels have shape {tuple(pixels.shape)}, it should be (frames, 3, height, width), none zero")
    if pixels.dtype != torch.uint8:
        if not pixels.dtype.is_floating_point:
            raise InputError(f"pixels are {pixels.dtype}, they should be floats in [-1, 1] or uint8")
        if not bool(torch.isfinite(pixels).all()):
            raise InputError("pixels hold NaN or infinity, they should be in [-1, 1]")
        pixels = to_uint8(pixels)
    return pixels.detach().permute(0, 2, 3, 1).contiguous().cpu().numpy()
