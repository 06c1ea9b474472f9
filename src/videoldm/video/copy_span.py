"""The part of a requested span that can be cut out of a stream without re-encoding.

**Start.** The first access point shown inside the span. A packet is an access point if the bitstream says so
(`PacketRole`) and the times agree: everything decoded before it is shown before it, and of the packets decoded after it
only leading pictures are shown before it. Those are left out.

**End.** The longest run of packets in decode order, from the access point on, whose frames are all shown before the end
of the span and which has no hole: between the first and the last frame shown, none of the source's frames is missing.

Proof: a packet refers only to packets decoded before it, so a run from an access point has all that it needs; because
no frame in it is shown at or after the end, nothing has to be hidden, and because it has no hole, all frames before the
last one are there. A longer run would show a frame outside the span, or lack one inside. The rule does not read slice
headers: where a frame after the end is decoded before frames inside, these count as referring to it, as encoders have
no other reason for such an order.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.video.bitstream.roles import PacketRole
from videoldm.video.packets import NO_VALUE, PacketIndex

_FAR = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySpan:
    """The span that a copy holds and the one requested, in ticks of `time_base` on the source's clock."""

    wanted_start_pts: int
    wanted_end_pts: int
    start_pts: int
    end_pts: int
    """End of the last frame, at most `wanted_end_pts`."""
    time_base: Fraction
    first_packet: int
    """Number of the access point in decode order; later packets that are shown before it are left out."""
    end_packet: int
    """Number of the first packet after the span in decode order."""
    num_frames: int

    @property
    def lost_at_start(self) -> Fraction:
        """Seconds by which the start moved."""
        return (self.start_pts - self.wanted_start_pts) * self.time_base

    @property
    def lost_at_end(self) -> Fraction:
        """Seconds by which the end moved."""
        return (self.wanted_end_pts - self.end_pts) * self.time_base


@dataclass(frozen=True, slots=True)
class NothingToCopy:
    """Reason why nothing of a requested span can be copied."""

    reason: str


def copy_span(index: PacketIndex, start_pts: int, end_pts: int) -> CopySpan | NothingToCopy:
    """Return the part of `start_pts` <= time < `end_pts` that can be copied; raises InputError for an empty span."""
    if start_pts >= end_pts:
        raise InputError(f"span is from {start_pts} to {end_pts} ticks, its end should be after its start")
    if not index.pts.size:
        return NothingToCopy("the stream has no packets")
    starts = access_points(index)
    starts = starts[(index.pts[starts] >= start_pts) & (index.pts[starts] < end_pts)]
    if not starts.size:
        return NothingToCopy("; ".join(("no verified access point in the span", *index.problems)))
    first = int(starts[np.argmin(index.pts[starts])])
    shown = _shown_times(index)
    last, end_packet, num_frames = _longest_run(index, shown, first, end_pts)
    return CopySpan(
        wanted_start_pts=start_pts,
        wanted_end_pts=end_pts,
        start_pts=int(index.pts[first]),
        end_pts=min(_end_of_frame(index, shown, last), end_pts),
        time_base=index.time_base,
        first_packet=first,
        end_packet=end_packet,
        num_frames=num_frames,
    )


def span_packets(index: PacketIndex, span: CopySpan) -> Int64[np.ndarray, " packets"]:
    """Return the numbers of the packets that a copy holds, in decode order."""
    numbers = np.arange(span.first_packet, span.end_packet)
    return numbers[index.pts[numbers] >= span.start_pts]


def shown_packets(index: PacketIndex, numbers: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " shown"]:
    """Return those of `numbers` that show a frame."""
    return numbers[index.role[numbers] != PacketRole.HIDDEN]


def access_points(index: PacketIndex) -> Int64[np.ndarray, " points"]:
    """Return the numbers of the packets at which a copy can begin, in decode order."""
    role, pts = index.role, index.pts
    counts = role != PacketRole.UNUSABLE
    before = np.maximum.accumulate(np.where(counts, pts, NO_VALUE))
    bound = np.where(counts & (role != PacketRole.LEADING), pts, _FAR)
    after = np.minimum.accumulate(bound[::-1])[::-1]
    is_access = (role == PacketRole.ACCESS) | (role == PacketRole.SPLICE)
    # Each packet is part of both running values, so no other packet may lie beyond it.
    return np.flatnonzero(is_access & (before == pts) & (after == pts))


def _shown_times(index: PacketIndex) -> Int64[np.ndarray, " n"]:
    """Return the times at which the stream's frames are shown, in order."""
    return np.unique(index.pts[(index.role != PacketRole.HIDDEN) & (index.pts != NO_VALUE)])


def _longest_run(index: PacketIndex, shown: Int64[np.ndarray, " n"], first: int, end_pts: int) -> tuple[int, int, int]:
    """Return the time of the last frame, the number of the packet after the run, and the number of frames."""
    numbers = shown_packets(index, np.arange(first, _barrier(index, first, end_pts)))
    numbers = numbers[index.pts[numbers] >= index.pts[first]]
    latest = np.maximum.accumulate(index.pts[numbers])
    num_frames = np.arange(1, len(numbers) + 1)
    num_in_source = np.searchsorted(shown, latest) - np.searchsorted(shown, index.pts[first]) + 1
    best = int(np.flatnonzero(num_frames == num_in_source)[-1])
    return int(latest[best]), int(numbers[best]) + 1, int(num_frames[best])


def _barrier(index: PacketIndex, first: int, end_pts: int) -> int:
    """Return the number of the first packet after `first` that no run may hold."""
    role = index.role[first + 1 :]
    is_too_late = (role != PacketRole.HIDDEN) & (index.pts[first + 1 :] >= end_pts)
    barriers = np.flatnonzero(is_too_late | (role == PacketRole.UNUSABLE) | (role == PacketRole.SPLICE))
    return first + 1 + int(barriers[0]) if barriers.size else len(index)


def _end_of_frame(index: PacketIndex, shown: Int64[np.ndarray, " n"], pts: int) -> int:
    """Return the time of the next frame; after the last one by its duration, or by the median one."""
    following = int(np.searchsorted(shown, pts, side="right"))
    if following < len(shown):
        return int(shown[following])
    duration = int(index.duration[index.pts == pts].max())
    return pts + (duration or max(1, int(np.median(np.diff(shown))) if len(shown) > 1 else 1))
