"""Decoding of a stream: at little cost, and without the frame that FFmpeg loses where the size of MPEG-2 changes."""

from __future__ import annotations

from collections.abc import Iterator

from av import Packet, VideoFrame
from av.video.stream import VideoStream

_SEQUENCE_HEADER = b"\x00\x00\x01\xb3"
_SIZE_BYTES = 3


def decode_cheaply(stream: VideoStream) -> None:
    """Set up the decoder, before the first packet, to take the least processor time at nearly the same pictures.

    Frames to which no other refers are not smoothed at the edges of blocks: so nothing drifts. One thread takes less
    time in all than several.
    """
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"skip_loop_filter": "noref"}


class StreamDecoder:
    """Decodes the packets of a stream one after the other."""

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._has_sequences = stream.codec_context.codec.canonical_name in ("mpeg1video", "mpeg2video")
        self._size = b""

    def decode(self, packet: Packet[VideoStream]) -> Iterator[VideoFrame]:
        """Yield the frames that the packet completes; raises FFmpegError if it cannot be decoded."""
        if self._has_sequences and packet.is_keyframe and self._begins_other_size(bytes(packet)):
            # The decoder holds one frame back for its order, and drops it when it meets the new size.
            yield from self._stream.decode(None)
            self._stream.codec_context.flush_buffers()
        yield from self._stream.decode(packet)

    def _begins_other_size(self, data: bytes) -> bool:
        at = data.find(_SEQUENCE_HEADER)
        if at < 0:
            return False
        before, self._size = self._size, data[at + len(_SEQUENCE_HEADER) :][:_SIZE_BYTES]
        return before not in (b"", self._size)
