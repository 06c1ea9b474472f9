"""Opening video files, with one clear line for each way in which a file can be unusable."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file
from videoldm.video.animated_webp import as_matroska, is_animated_webp

_KIND = "a video file"
# Video files only: other demuxers of FFmpeg accept texts and pictures as videos, or fetch what a playlist names.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "mpegvideo", "m4v", "h264", "hevc", "obu",
    "ivf", "flv", "live_flv", "asf", "ogg", "mxf", "nut", "gif", "apng", "dv", "rm", "yuv4mpegpipe", "av1",
)  # fmt: skip
_OPTIONS = {"format_whitelist": ",".join(_FORMATS), "protocol_whitelist": "file"}
_MP4_DATA_BOXES = {b"mdat", b"moov", b"moof"}
_EBML_HEADER = b"\x1a\x45\xdf\xa3"
_EBML_SEGMENT = b"\x18\x53\x80\x67"


@contextlib.contextmanager
def open_video(path: str | Path) -> Generator[tuple[InputContainer, tuple[VideoStream, ...]]]:
    """Open a video file; yields it and its video streams, at least one, not counting cover pictures.

    Raises InputError if the file is missing, empty, cut off, without video or not a video at all.
    """
    check_complete(path)
    with open_damaged(path) as opened:
        yield opened


@contextlib.contextmanager
def open_damaged(path: str | Path) -> Generator[tuple[InputContainer, tuple[VideoStream, ...]]]:
    """Open a video file as `open_video` does, even if it is cut off after its start."""
    found = existing_file(path, kind=_KIND)
    try:
        # Absolute, so that a name such as "concat:a" is never taken for a protocol.
        file = as_matroska(found) if is_animated_webp(found) else os.fspath(found.absolute())
        container = av.open(file, "r", container_options=_OPTIONS)
    except (FFmpegError, UnicodeError) as error:
        raise InputError(f"{path}: {_why_not_opened(found, error)}") from error
    with container:
        streams = video_streams(container)
        if not streams:
            raise InputError(f"{path}: has no video in it ({container.format.long_name}), it should be {_KIND}")
        yield container, streams


def video_streams(container: InputContainer) -> tuple[VideoStream, ...]:
    """Return the video streams, without cover pictures; their numbers count from 0 in this order."""
    return tuple(stream for stream in container.streams.video if not _is_cover(stream))


def described(number: int, stream: VideoStream) -> str:
    """Return a short description of a video stream, such as "0: h264 640x480"."""
    context = getattr(stream, "codec_context", None)
    what = "not decodable" if context is None else f"{context.codec.canonical_name} {context.width}x{context.height}"
    return f"{number}: {what}"


def pick_stream(path: str | Path, streams: tuple[VideoStream, ...], index: int | None) -> VideoStream:
    """Return video stream number `index`, from 0, or the default one for None.

    Raises InputError if there is no such stream, or no decoder for it.
    """
    if index is None:
        index = default_stream(streams)
    if not 0 <= index < len(streams):
        numbers = f"streams 0 to {len(streams) - 1}" if len(streams) > 1 else "only stream 0"
        raise InputError(f"{path}: has no video stream {index}, it has {numbers}")
    stream = streams[index]
    if getattr(stream, "codec_context", None) is None:  # FFmpeg has no decoder, whatever the type says
        raise InputError(f"{path}: video stream {index} is in a format that cannot be decoded")
    return stream


def default_stream(streams: tuple[VideoStream, ...]) -> int:
    """Return the number of the stream that players show: one marked as default, then the largest, then the first."""

    def rank(number: int) -> tuple[bool, bool, int]:
        stream = streams[number]
        context = getattr(stream, "codec_context", None)
        size = 0 if context is None else context.width * context.height
        return context is not None, bool(stream.disposition & Disposition.default), size

    return max(range(len(streams)), key=rank)


def time_base_of(path: str | Path, stream: VideoStream) -> Fraction:
    """Return the duration of a tick of the stream in seconds; raises InputError if there is none."""
    if not stream.time_base:
        raise InputError(f"{path}: its video stream has no time base")
    return stream.time_base


def frame_rate_of(stream: VideoStream) -> Fraction | None:
    """Return the frame rate by the file's header, or else by the times of its first frames; None if neither has it."""
    return stream.average_rate or stream.guessed_rate


def check_complete(path: str | Path) -> None:
    """Raise InputError for a file that is shorter than its own headers declare."""
    found = existing_file(path, kind=_KIND)
    actual = found.stat().st_size
    expected = _declared_size(found, actual)
    if expected is not None and expected > actual:
        raise InputError(f"{path}: is cut off: it has {actual} of at least {expected} bytes")


def _is_cover(stream: VideoStream) -> bool:
    return bool(stream.disposition & Disposition.attached_pic)


def _why_not_opened(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(12)
    if start[4:8] in (b"ftyp", b"moov", b"mdat") or start[:4] == _EBML_HEADER:
        return "is a broken or cut-off video: its index or header cannot be read"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return f"is not {_KIND}, or is broken at its start"


def _declared_size(path: Path, actual: int) -> int | None:
    """Return the least size in bytes that the headers of an mp4 or Matroska file declare; None if they declare none."""
    with path.open("rb") as file:
        start = file.read(64)
        if start[:4] == _EBML_HEADER:
            return _matroska_end(start)
        if start[4:8] != b"ftyp":
            return None
        position = 0
        while position + 8 <= actual:
            file.seek(position)
            header = file.read(16)
            size, name = int.from_bytes(header[:4], "big"), header[4:8]
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if size < 8:
                return None  # 0 means "up to the end of the file", other values are damage that the demuxer judges
            position += size
            if position > actual:
                return position if name in _MP4_DATA_BOXES else None
    return None


def _matroska_end(start: bytes) -> int | None:
    header = _ebml_number(start, 4)
    if header is None:
        return None
    segment = header[1] + header[0]
    if start[segment : segment + 4] != _EBML_SEGMENT:
        return None
    size = _ebml_number(start, segment + 4)
    return None if size is None else size[1] + size[0]


def _ebml_number(data: bytes, position: int) -> tuple[int, int] | None:
    """Return the variable-length number at `position` and its end; None if it is "unknown" or incomplete."""
    first = data[position] if position < len(data) else 0
    length = 9 - first.bit_length()
    if first == 0 or position + length > len(data):
        return None
    num_bits = 7 * length
    value = int.from_bytes(data[position : position + length], "big") & ((1 << num_bits) - 1)
    return None if value == (1 << num_bits) - 1 else (value, position + length)
