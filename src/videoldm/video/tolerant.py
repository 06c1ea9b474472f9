"""Decoding all that can be decoded of a file, with the gaps where something is broken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream


@dataclass(frozen=True, slots=True)
class Gap:
    """Something here could not be decoded; what follows begins with a key frame again."""

    reason: str


def decode_what_is_whole(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame | Gap]:
    """The undamaged frames in the order in which they are shown, and a gap for each damage after the first of them.

    After damage frames refer to what is missing until the next key frame: they are left out with it. Frames without a
    time are damage as well.
    """
    is_broken, reason = True, ""  # frames before the first key frame may refer to what was cut off before them
    has_begun = False
    for outcome in _decode(container, stream):
        if isinstance(outcome, str):
            is_broken, reason = True, outcome
            continue
        if outcome.is_corrupt or outcome.pts is None:
            is_broken, reason = True, "a frame is damaged" if outcome.is_corrupt else "a frame has no time"
            continue
        if is_broken:
            if not outcome.key_frame and has_begun:
                continue
            if has_begun:
                yield Gap(reason)
            is_broken, has_begun = False, True
        yield outcome
    if is_broken and has_begun:
        yield Gap(reason)


def _decode(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame | str]:
    """Frames, and in words what could not be decoded."""
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except FFmpegError as error:
            yield f"the file is broken ({error.strerror})"
            return
        if packet is None:
            return
        yield from _frames(packet, stream)


def _frames(packet: Packet[VideoStream], stream: VideoStream) -> Iterator[VideoFrame | str]:
    try:
        yield from stream.decode(packet)
    except EOFError:
        return  # the decoder was flushed before
    except FFmpegError as error:
        yield f"a packet cannot be decoded ({error.strerror})"
    if packet.is_corrupt:
        yield "a packet is damaged"
