"""Clips as animated or numbered pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder
from videoldm.video.metadata import EXIF_DESCRIPTION, KEY

# Delays in a GIF count 1/100 s, and browsers slow down those below 2.
_MAX_GIF_RATE = 50
_FRAME_NAME = "frame_{:05d}.png"


def check_gif_rate(fps: Fraction) -> None:
    """Raises InputError for more frames a second than a GIF can show."""
    if fps > _MAX_GIF_RATE:
        raise InputError(
            f"a .gif can have at most {_MAX_GIF_RATE} frames a second, not {fps}: give a lower rate or another ending"
        )


def encode_gif(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """An endless GIF; each frame has the 256 colours that suit it best."""
    frames = [_with_palette(image) for image in _images(pictures)]
    delays = [10 * ticks for ticks in _delays(len(frames), fps, ticks_per_second=100)]
    extra = {} if comment is None else {"comment": comment.encode()}
    _save_animation(path, "GIF", frames, delays, optimize=False, **extra)


def encode_webp(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """An endless animated WebP of high quality."""
    exif = Image.Exif()
    if comment is not None:
        exif[EXIF_DESCRIPTION] = comment
    delays = _delays(len(pictures), fps, ticks_per_second=1000)
    _save_animation(path, "WEBP", _images(pictures), delays, quality=90, method=4, exif=exif)


def encode_png(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """The first frame as a PNG; `fps` has no meaning in it."""
    del fps
    _save_png(path, pictures[0], comment)


def write_png_folder(path: str | Path, pictures: UInt8[np.ndarray, "t h w 3"], comment: str | None) -> None:
    """A folder of frames `frame_00000.png` and so on; replaces a folder only if it holds nothing else."""
    folder = Path(path)
    with atomic_folder(folder, replace=_is_ours(folder)) as partial:
        for index, picture in enumerate(pictures):
            _save_png(partial / _FRAME_NAME.format(index), picture, comment)


def _is_ours(folder: Path) -> bool:
    return folder.is_dir() and all(
        entry.suffix == ".png" and entry.stem.startswith("frame_") and entry.stem[6:].isdecimal()
        for entry in folder.iterdir()
    )


def _images(pictures: UInt8[np.ndarray, "t h w 3"]) -> list[Image.Image]:
    return [Image.fromarray(picture) for picture in pictures]


def _save_png(path: Path, picture: UInt8[np.ndarray, "h w 3"], comment: str | None) -> None:
    texts = PngInfo()
    if comment is not None:
        texts.add_text(KEY, comment)
    Image.fromarray(picture).save(path, format="PNG", pnginfo=texts)


def _save_animation(
    path: Path, kind: str, frames: Sequence[Image.Image], delays: Sequence[int], **options: object
) -> None:
    first, *rest = frames
    first.save(path, format=kind, save_all=True, append_images=rest, duration=list(delays), loop=0, **options)


def _delays(num_frames: int, fps: Fraction, *, ticks_per_second: int) -> list[int]:
    """How many ticks each frame lasts; rounded so that errors do not add up."""
    edges = [round(index * ticks_per_second / fps) for index in range(num_frames + 1)]
    return [max(1, after - before) for before, after in itertools.pairwise(edges)]


def _with_palette(image: Image.Image) -> Image.Image:
    """The image in its own 256 colours; dithered, so that smooth gradients show no steps."""
    return image.quantize(palette=image.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
