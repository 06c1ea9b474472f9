"""Decoding some packets of a known index, from an access point on."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from av import CodecContext, VideoFrame
from av.error import FFmpegError
from av.video.codeccontext import VideoCodecContext
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.video.packet_reading import IndexedVideo, open_indexed
from videoldm.video.packets import PacketIndex


@contextlib.contextmanager
def open_decoder(path: str | Path, index: PacketIndex) -> Generator[IndexedVideo]:
    """The video that `index` was read from, ready for `decode`; raises InputError as `open_video` does."""
    with open_indexed(path, index) as video:
        video.stream.codec_context.thread_count = 1
        if index.codec == "h264":
            # The first frame tells which encoder made the file, and decoders work around the bugs of some.
            with contextlib.suppress(FFmpegError):
                next(video.container.decode(video.stream), None)
        yield video


def decode(
    video: IndexedVideo, numbers: Int64[np.ndarray, " n"], *, only_pts: int | None = None
) -> Iterator[VideoFrame]:
    """The frames of the packets with these numbers, in the order shown; the first one is an access point.

    With `only_pts`, frames to which no other refers are left out unless they are shown then. Raises InputError if a
    packet cannot be read, or is refused by the decoder.
    """
    context = video.stream.codec_context
    try:
        for number, packet in zip(numbers, video.packets(numbers), strict=True):
            context.skip_frame = "DEFAULT" if only_pts in (None, video.index.pts[number]) else "NONREF"
            yield from video.stream.decode(packet)
        yield from video.stream.decode(None)
    except FFmpegError as error:
        raise InputError(f"{video.path}: cannot be decoded ({error.strerror})") from error


def samples(frame: VideoFrame) -> bytes:
    """All samples of a frame as stored, without the padding of its rows."""
    packer = CodecContext.create("rawvideo", "w")
    assert isinstance(packer, VideoCodecContext)
    packer.width, packer.height, packer.pix_fmt = frame.width, frame.height, frame.format.name
    packer.time_base = Fraction(1)
    return b"".join(bytes(packet) for packet in packer.encode(frame))
