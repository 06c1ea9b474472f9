"""Reading and decoding selected packets of an indexed video."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import numpy as np
from av import CodecContext, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.stream import VideoStream
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.video.opening import open_video, pick_stream
from videoldm.video.packets import NO_VALUE, PacketIndex

# Numbers of packets by which to seek ahead of the target, if the container's own index leads beyond it.
_STEPS_BACK = (0, 50, 500)

VideoPacket: TypeAlias = "Packet[VideoStream]"


@dataclass(frozen=True, slots=True)
class IndexedVideo:
    """An open video with its packet index."""

    path: str | Path
    index: PacketIndex
    container: InputContainer
    stream: VideoStream

    def packets(self, numbers: Int64[np.ndarray, " n"]) -> Iterator[VideoPacket]:
        """Yield the packets with these ascending numbers in decode order, checked against the index, with its times.

        Flushes the decoder. Raises InputError if the file is not the one that was indexed, or is unreadable.
        """
        wanted = set(numbers.tolist())
        number = int(numbers[0])
        for packet in self._from(number):
            if not self._is_same(packet, number):
                break
            if number in wanted:
                yield self._stamped(packet, number)
            number += 1
            if number > numbers[-1]:
                return
        raise InputError(f"{self.path}: has changed since it was indexed: packet {number} is not the same any more")

    def _stamped(self, packet: VideoPacket, number: int) -> VideoPacket:
        pts, dts = int(self.index.pts[number]), int(self.index.dts[number])
        packet.pts, packet.dts = (None if time == NO_VALUE else time for time in (pts, dts))
        return packet

    def _from(self, number: int) -> Iterator[VideoPacket]:
        """Yield the packets from `number` on; none if it is not found."""
        for back in (*_STEPS_BACK, number):
            packets = self._after_seek(max(0, number - back))
            found = self._skip_to(packets, number)
            if found is not None:
                yield found
                yield from packets
                return

    def _after_seek(self, number: int) -> Iterator[VideoPacket]:
        """Seek to a position at or before `number` and yield the packets from there; none if seeking fails."""
        times = [int(column[number]) for column in (self.index.dts, self.index.pts)]
        shift = int(self.index.shift[number])
        try:
            self.container.seek(next((time - shift for time in times if time != NO_VALUE), 0), stream=self.stream)
        except FFmpegError:
            return
        try:
            yield from (packet for packet in self.container.demux(self.stream) if packet.size)
        except FFmpegError as error:
            raise InputError(f"{self.path}: cannot be read further ({error.strerror})") from error

    def _skip_to(self, packets: Iterator[VideoPacket], number: int) -> VideoPacket | None:
        """Return packet `number` once it comes; None when it can no longer come."""
        dts, shift = self.index.dts[number], self.index.shift[number]
        for num_skipped, packet in enumerate(packets):
            if packet.pts == self.index.pts[number] - shift and self._is_same(packet, number):
                return packet
            # Where the clock starts again, a later time says nothing.
            is_later = packet.dts is not None and dts != NO_VALUE and not shift and packet.dts > dts
            if is_later or num_skipped >= number:
                return None
        return None

    def _is_same(self, packet: VideoPacket, number: int) -> bool:
        # Not its times: after a seek, demuxers may guess them differently.
        position = NO_VALUE if packet.pos is None else packet.pos
        return number < len(self.index) and (packet.size, position) == (
            self.index.size[number],
            self.index.position[number],
        )


@contextlib.contextmanager
def open_indexed(path: str | Path, index: PacketIndex) -> Generator[IndexedVideo]:
    """Open the video that `index` was read from; raises InputError as `open_video` does."""
    with open_video(path) as (container, streams):
        yield IndexedVideo(path, index, container, pick_stream(path, streams, index.stream))


@contextlib.contextmanager
def open_decoder(path: str | Path, index: PacketIndex) -> Generator[IndexedVideo]:
    """Open the video that `index` was read from, ready for `decode`; raises InputError as `open_video` does."""
    with open_indexed(path, index) as video:
        video.stream.codec_context.thread_count = 1
        if index.codec == "h264":
            # The first frame names the encoder of the file, and decoders work around the bugs of some.
            with contextlib.suppress(FFmpegError):
                next(video.container.decode(video.stream), None)
        yield video


def decode(
    video: IndexedVideo, numbers: Int64[np.ndarray, " n"], *, only_pts: int | None = None
) -> Iterator[VideoFrame]:
    """Yield the frames of the packets with these numbers, in the order shown; the first one is an access point.

    only_pts: skip frames that are shown at another time and to which no other refers.
    Raises InputError if a packet cannot be read or decoded.
    """
    context = video.stream.codec_context
    try:
        for number, packet in zip(numbers, video.packets(numbers), strict=True):
            context.skip_frame = "DEFAULT" if only_pts in (None, video.index.pts[number]) else "NONREF"
            yield from video.stream.decode(packet)
        yield from video.stream.decode(None)
    except FFmpegError as error:
        raise InputError(f"{video.path}: cannot be decoded ({error.strerror})") from error


def stored_samples(frame: VideoFrame) -> bytes:
    """Return all samples of a frame as stored, without the padding of its rows."""
    packer = CodecContext.create("rawvideo", "w")
    assert isinstance(packer, VideoCodecContext)
    packer.width, packer.height, packer.pix_fmt = frame.width, frame.height, frame.format.name
    packer.time_base = Fraction(1)
    return b"".join(bytes(packet) for packet in packer.encode(frame))
