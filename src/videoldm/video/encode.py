"""Encoding clips into video containers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, ColorTrc
from av.video.stream import VideoStream
from jaxtyping import UInt8

from videoldm.video.colour import from_rgb, usual_matrix

# x264's output depends on the number of threads and on the processor; without cpu-independent even two processes on one
# machine sometimes gave different files.
NUM_THREADS = 4
H264_OPTIONS = {"crf": "17", "preset": "medium", "x264-params": "log-level=warning:cpu-independent=1"}
"""Hardly lossy to the eye."""


@dataclass(frozen=True)
class _Format:
    container: str
    codec: str
    pixel_format: str
    to_frame: Callable[[UInt8[np.ndarray, "h w 3"]], VideoFrame]
    codec_options: dict[str, str] = field(default_factory=dict[str, str])
    container_options: dict[str, str] = field(default_factory=dict[str, str])


def encode_mp4(path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None) -> None:
    """H.264 yuv420p, hardly lossy to the eye, index first so that browsers start at once; even sizes by edge copies."""
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
    """Lossless FFV1 in RGB; Matroska rounds frame times to milliseconds."""
    video_format = _Format(
        container="matroska",
        codec="ffv1",
        pixel_format="bgr0",
        to_frame=lambda picture: VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0"),
        codec_options={"level": "3", "slicecrc": "1"},
    )
    _encode(path, pictures, fps, comment, video_format)


def _encode(
    path: Path, pictures: UInt8[np.ndarray, "t h w 3"], fps: Fraction, comment: str | None, video_format: _Format
) -> None:
    _, height, width, _ = pictures.shape
    with av.open(
        str(path), "w", format=video_format.container, container_options=video_format.container_options
    ) as container:
        if comment is not None:
            # The one tag that players show and that survives copying into any other container.
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
    context.colorspace = usual_matrix(width, height)
    context.color_range = ColorRange.MPEG
    context.color_primaries = ColorPrimaries.BT709
    context.color_trc = ColorTrc.BT709
