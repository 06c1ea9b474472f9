"""Encoders of clips: video containers, animated pictures and numbered PNG frames."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from av.video.stream import VideoStream
from jaxtyping import UInt8
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder
from videoldm.video.display import default_matrix, from_rgb
from videoldm.video.metadata import EXIF_DESCRIPTION, KEY

# x264's output depends on the number of threads and on the processor; without cpu-independent even two processes on one
# machine sometimes gave different files.
NUM_THREADS = 4
H264_OPTIONS = {"crf": "17", "preset": "medium", "x264-params": "log-level=warning:cpu-independent=1"}
"""Visually lossless."""
# Delays in a GIF count 1/100 s, and browsers slow down those below 2.
_MAX_GIF_RATE = 50
_FRAME_NAME = "frame_{:05d}.png"


def encode_mp4(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """Write visually lossless H.264 (yuv420p), index first so that browsers start at once; odd sizes repeat an edge."""
    _, height, width, _ = pictures.shape
    even = np.pad(pictures, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    video_format = _Format(
        container="mp4",
        codec="libx264",
        pixel_format="yuv420p",
        to_frame=lambda picture: from_rgb(picture, "yuv420p"),
        codec_options=H264_OPTIONS,
        container_options={"movflags": "+faststart"},
    )
    _encode(path, even, fps, comment, video_format)


def encode_mkv(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """Write lossless FFV1 in RGB; Matroska rounds frame times to milliseconds."""
    video_format = _Format(
        container="matroska",
        codec="ffv1",
        pixel_format="bgr0",
        to_frame=lambda picture: VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0"),
        codec_options={"level": "3", "slicecrc": "1"},
    )
    _encode(path, pictures, fps, comment, video_format)


def check_gif_rate(fps: Fraction) -> None:
    """Raise InputError if `fps` is more than a GIF can show."""
    if fps > _MAX_GIF_RATE:
        raise InputError(
            f"a .gif can have at most {_MAX_GIF_RATE} frames a second, not {fps}: give a lower rate or another format"
        )


def encode_gif(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """Write an endlessly repeating GIF; each frame has its own palette of 256 colours."""
    frames = [_with_palette(image) for image in _images(pictures)]
    delays = [10 * ticks for ticks in _delays(len(frames), fps, ticks_per_second=100)]
    extra = {} if comment is None else {"comment": comment.encode()}
    _save_animation(path, "GIF", frames, delays, optimize=False, **extra)


def encode_webp(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """Write an endlessly repeating animated WebP of high quality."""
    exif = Image.Exif()
    if comment is not None:
        exif[EXIF_DESCRIPTION] = comment
    delays = _delays(len(pictures), fps, ticks_per_second=1000)
    _save_animation(path, "WEBP", _images(pictures), delays, quality=90, method=4, exif=exif)


def encode_png(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """Write the first frame as a PNG, which has no frame rate."""
    del fps
    _save_png(path, pictures[0], comment)


def write_png_folder(path: str | Path, pictures: UInt8[np.ndarray, "t h w 3"], comment: str | None) -> None:
    """Write a folder of frames `frame_00000.png`, ...; replaces a folder only if it holds nothing but such frames."""
    folder = Path(path)
    with atomic_folder(folder, replace=_is_ours(folder)) as partial:
        for index, picture in enumerate(pictures):
            _save_png(partial / _FRAME_NAME.format(index), picture, comment)


@dataclass(frozen=True)
class _Format:
    container: str
    codec: str
    pixel_format: str
    to_frame: Callable[[UInt8[np.ndarray, "h w 3"]], VideoFrame]
    codec_options: dict[str, str] = field(default_factory=dict[str, str])
    container_options: dict[str, str] = field(default_factory=dict[str, str])


def _encode(
    path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None, video_format: _Format
) -> None:
    _, height, width, _ = pictures.shape
    with av.open(
        str(path), "w", format=video_format.container, container_options=video_format.container_options
    ) as container:
        if comment is not None:
            # The only tag that players show and that survives copying into any other container.
            container.metadata["comment"] = comment
        stream = container.add_stream(video_format.codec, rate=fps, options=video_format.codec_options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, video_format.pixel_format
        stream.codec_context.thread_count = NUM_THREADS
        stream.codec_context.time_base = 1 / fps
        if video_format.pixel_format.startswith("yuv"):
            _tag_colour(stream, width, height)
        for index, picture in enumerate(pictures):
            frame = video_format.to_frame(picture)
            frame.pts, frame.time_base = index, 1 / fps
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _tag_colour(stream: VideoStream, width: int, height: int) -> None:
    context = stream.codec_context
    context.colorspace = default_matrix(width, height)
    context.color_range = ColorRange.MPEG
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709


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
    """Return the duration of each frame in ticks, rounded so that errors do not add up."""
    edges = [round(index * ticks_per_second / fps) for index in range(num_frames + 1)]
    return [max(1, after - before) for before, after in itertools.pairwise(edges)]


def _with_palette(image: Image.Image) -> Image.Image:
    """Reduce the image to its own 256 colours, dithered so that smooth gradients show no steps."""
    return image.quantize(palette=image.quantize(256), dither=Image.Dither.FLOYDSTEINBERG)
