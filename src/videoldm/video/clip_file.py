"""Files that hold one clip, at exact times from zero on.

mp4 and mov get no edit list, which many readers ignore: durations of samples are those of the frames in the order
shown, and signed composition offsets (version 1 of `ctts`) put them into that order. Matroska and WebM count
milliseconds, to which times are rounded there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Int64

from videoldm.core.files import atomic_file

MOV_SUFFIXES = (".mp4", ".mov")
_MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# No date, no version of the muxer.
_OPTIONS = {"fflags": "+bitexact"}
_MOV_OPTIONS = {"movflags": "+negative_cts_offsets+faststart", "use_editlist": "0"}


@dataclass(frozen=True, eq=False, slots=True)
class ClipTimes:
    """Times of a clip's packets in decode order, in ticks of `time_base`."""

    pts: Int64[np.ndarray, " n"]
    dts: Int64[np.ndarray, " n"]
    duration: Int64[np.ndarray, " n"]
    time_base: Fraction

    def stamp(self, packet: Packet[VideoStream], place: int) -> None:
        """Give the packet at `place` its times."""
        packet.pts, packet.dts, packet.duration = (int(times[place]) for times in (self.pts, self.dts, self.duration))
        packet.time_base = self.time_base


def clip_times(pts: Int64[np.ndarray, " n"], end: int, time_base: Fraction, suffix: str) -> ClipTimes:
    """The times with which frames shown at `pts` (in decode order, from 0 on) end at `end` in a file with this ending.

    Decoding times are those at which the frames are shown, in order, moved until none is decoded too late.
    """
    in_order = np.sort(pts)
    edges = np.append(in_order, end)
    # mp4 takes the steps of dts for durations, and that of the last packet for the last step; Matroska keeps its own.
    duration = np.diff(edges) if suffix in MOV_SUFFIXES else edges[np.searchsorted(in_order, pts) + 1] - pts
    return ClipTimes(pts, in_order - (in_order - pts).max(), duration, time_base)


@contextlib.contextmanager
def new_clip_file(destination: str | Path) -> Generator[OutputContainer]:
    """A container that becomes `destination`, whose ending names its format, if the block ends without an error."""
    suffix = Path(destination).suffix.lower()
    options = {**_OPTIONS, **(_MOV_OPTIONS if suffix in MOV_SUFFIXES else {})}
    with (
        atomic_file(destination) as partial,
        av.open(str(partial), "w", format=_MUXERS[suffix], container_options=options) as container,
    ):
        yield container
