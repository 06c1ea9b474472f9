"""Decoding whole streams that may be damaged: every frame is yielded, or counted as left out with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from av import Packet, VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from videoldm.video.decoding import StreamDecoder
from videoldm.video.opening import frame_rate_of, time_base_of
from videoldm.video.steady import FrameClock, SteadyPackets, Times

AT_START, DAMAGED, AFTER_DAMAGE = "damaged before the first whole frame", "damaged", "between damage and a key frame"


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where frames could not be decoded; the next frame is a key frame."""

    reason: str


class UndamagedFrames:
    """The undamaged frames of a stream from its start, in the order they are shown, with times that go forward.

    A gap stands for each damage after the first frame. Frames between damage and the next key frame refer to missing
    ones and are left out too.
    """

    def __init__(self, path: str | Path, container: InputContainer, stream: VideoStream) -> None:
        self.left_out: Counter[str] = Counter()
        """Number of frames that were decoded and not yielded, by reason."""
        self.usual_ticks = usual_ticks(path, stream)
        """Ticks that a frame without a duration lasts."""
        self._packets = SteadyPackets(container.demux(stream), time_base_of(path, stream), container.format.name)
        self._decoder = StreamDecoder(stream)
        self._clock = FrameClock(self.usual_ticks)

    @property
    def times(self) -> Times:
        """Where the times of the frames so far come from."""
        if self.counted:
            return "counted"
        return "restarted" if self._packets.has_restarted else "stored"

    @property
    def counted(self) -> list[tuple[int, int]]:
        """Spans of frames so far whose times are counted on from the frame before."""
        return self._clock.counted

    def __iter__(self) -> Iterator[VideoFrame | Gap]:
        """Yield the frames and gaps."""
        is_broken, reason = True, ""  # frames before the first key frame may refer to frames that were cut off
        has_begun = False
        for outcome in self._outcomes():
            if isinstance(outcome, str):
                is_broken, reason = True, outcome
                continue
            if outcome.is_corrupt:
                is_broken, reason = True, "a frame is damaged"
                self.left_out[DAMAGED if has_begun else AT_START] += 1
                continue
            if is_broken:
                if not outcome.key_frame and has_begun:
                    self.left_out[AFTER_DAMAGE] += 1
                    continue
                if has_begun:
                    yield Gap(reason)
                is_broken, has_begun = False, True
            self._clock.stamp(outcome)
            yield outcome
        if is_broken and has_begun:
            yield Gap(reason)

    def _outcomes(self) -> Iterator[VideoFrame | str]:
        """Yield decoded frames, and a description of each failure."""
        packets = iter(self._packets)
        while True:
            try:
                packet = next(packets, None)
            except FFmpegError as error:
                yield f"the file is broken ({error.strerror})"
                return
            if packet is None:
                return
            yield from self._decoded(packet)

    def _decoded(self, packet: Packet[VideoStream]) -> Iterator[VideoFrame | str]:
        try:
            yield from self._decoder.decode(packet)
        except EOFError:
            return  # the decoder was flushed before
        except FFmpegError as error:
            yield f"a packet cannot be decoded ({error.strerror})"
        if packet.is_corrupt:
            yield "a packet is damaged"


def usual_ticks(path: str | Path, stream: VideoStream) -> int:
    """Return how many ticks a frame lasts by the stream's frame rate, at least 1."""
    rate = frame_rate_of(stream)
    return max(1, round(1 / (rate * time_base_of(path, stream)))) if rate else 1
