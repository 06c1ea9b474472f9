"""Times that only go forward, whatever the container says: one rule for all that read a file from its start.

A stream may be two recordings appended, so that its clock starts again; or its frames may have no times, equal ones, or
times in the order in which they were decoded (AVI with packed B pictures). Tables name frames by time, so each frame
needs a time of its own, which is the same whenever the file is read from its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Any, Literal

from av import VideoFrame
from av.packet import Packet

Times = Literal["stored", "restarted", "counted"]
"""Times of a stream's frames: as stored; stored, with an offset for each new start of the clock; some of them counted
on from the frame before, as those stored do not go forward."""

# A clock that goes back by less was not started again: some muxers guess times of decoding that are slightly wrong.
_LEAST_RESTART_S = 1
# In broadcast formats a clock that jumps ahead is another one, as for FFmpeg's own tools; elsewhere it may be a slide.
_LEAST_JUMP_S = 10
_BROADCAST_FORMATS = ("mpegts", "mpeg")


class SteadyPackets:
    """Packets in decode order, their times moved to follow those before each new start of the clock.

    container: name of the format.
    """

    def __init__(self, packets: Iterable[Packet[Any]], time_base: Fraction, container: str) -> None:
        self.has_restarted = False
        self.shift = 0
        """Ticks that were added to the times of the last packet."""
        self._packets = packets
        self._least = round(_LEAST_RESTART_S / time_base)
        self._least_jump = round(_LEAST_JUMP_S / time_base) if container in _BROADCAST_FORMATS else None
        self._last_dts: int | None = None
        self._last_pts: int | None = None
        self._end = 0

    def __iter__(self) -> Iterator[Packet[Any]]:
        """Yield the packets with their new times."""
        for packet in self._packets:
            if packet.size:
                self.move(packet)
            yield packet

    def move(self, packet: Packet[Any]) -> None:
        """Move the times of the next packet."""
        pts, dts = packet.pts, packet.dts
        if dts is not None and pts is not None:
            if self._is_restart(pts, dts):
                self.shift, self.has_restarted = self._end - dts, True
            self._last_dts, self._last_pts = dts, pts
            self._end = max(self._end, max(pts, dts) + self.shift + (packet.duration or 1))
        if self.shift:
            packet.pts = None if pts is None else pts + self.shift
            packet.dts = None if dts is None else dts + self.shift

    def _is_restart(self, pts: int, dts: int) -> bool:
        if self._last_dts is None or self._last_pts is None:
            return False
        if self._least_jump is not None and dts + self.shift > self._end + self._least_jump:
            return True
        return dts < self._last_dts - self._least and pts < self._last_pts - self._least


class FrameClock:
    """Gives decoded frames, in the order shown, times that go forward."""

    def __init__(self, usual_ticks: int) -> None:
        self.counted: list[tuple[int, int]] = []
        """Start and end, in new times, of stretches of frames whose own times do not go forward."""
        self._usual_ticks = usual_ticks
        self._next: int | None = None
        self._last: int | None = None

    def stamp(self, frame: VideoFrame) -> None:
        """Set the time of the next frame: its own if that comes after the frame before, else where that one ends."""
        pts = frame.pts
        is_counted = pts is None or (self._last is not None and pts <= self._last)
        if pts is None or is_counted:
            frame.pts = pts = self._next or 0
        self._last = pts
        self._next = pts + (frame.duration or self._usual_ticks)
        if is_counted:
            self._count(pts, self._next)

    def _count(self, start: int, end: int) -> None:
        if self.counted and self.counted[-1][1] == start:
            start, _ = self.counted.pop()
        self.counted.append((start, end))
