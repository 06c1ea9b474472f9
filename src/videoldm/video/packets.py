"""Index of a stream's packets, read by demuxing once, without decoding."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Bool, Int64, UInt8

from videoldm.video.bitstream.codecs import role_reader
from videoldm.video.bitstream.roles import PacketRole, RoleReader
from videoldm.video.opening import open_video, pick_stream, time_base_of
from videoldm.video.steady import SteadyPackets

NO_VALUE = int(np.iinfo(np.int64).min)
"""Stands for a missing pts, dts or position."""


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PacketIndex:
    """Every packet of a video stream in decode order, times in ticks of `time_base`; `NO_VALUE` where one has none."""

    stream: int
    """Number of the video stream in its file, from 0."""
    codec: str
    time_base: Fraction
    shift: Int64[np.ndarray, " n"]
    """Ticks that were added to the times that the file gives, so that they go on where its clock starts again."""
    pts: Int64[np.ndarray, " n"]
    dts: Int64[np.ndarray, " n"]
    duration: Int64[np.ndarray, " n"]
    size: Int64[np.ndarray, " n"]
    position: Int64[np.ndarray, " n"]
    is_keyframe: Bool[np.ndarray, " n"]
    """The container's flags, which can be wrong; `role` holds the truth."""
    role: UInt8[np.ndarray, " n"]
    """A `PacketRole` each, read from the bytes of the packet."""
    problems: tuple[str, ...]
    """Short descriptions of damage; empty for an intact file."""

    def __len__(self) -> int:
        return len(self.pts)


def read_packet_index(path: str | Path, *, stream: int | None = None) -> PacketIndex:
    """Read the index of video stream number `stream`, None for the default one.

    Damaged packets stay in it with the role UNUSABLE, counted in `problems`; where the file cannot be read further, the
    index ends and `problems` says so. Raises InputError as `open_video` does.
    """
    with open_video(path) as (container, streams):
        video = pick_stream(path, streams, stream)
        codec, header = video.codec_context.codec.canonical_name, video.codec_context.extradata or b""
        notes: list[str] = []
        read_role = role_reader(codec, header)
        if read_role is None:
            notes.append(f"access points cannot be verified in the format {codec}")
        rows = _Rows(read_role, header)
        time_base = time_base_of(path, video)
        steady = SteadyPackets(container.demux(video), time_base, container.format.name)
        try:
            for packet in steady:
                if packet.size:  # the demuxer ends with an empty packet
                    rows.add(packet, steady.shift)
        except FFmpegError as error:
            notes.append(f"reading stopped after packet {len(rows.rows)} ({error.strerror})")
        return rows.index(streams.index(video), codec, time_base, notes)


class _Rows:
    """Rows of the index while it is read."""

    def __init__(self, read_role: RoleReader | None, header: bytes) -> None:
        self.read_role = read_role
        self.header = header
        self.has_other_header = False
        self.rows: list[tuple[int, int, int, int, int, bool, int, int]] = []
        self.num_unusable: Counter[str] = Counter()

    def add(self, packet: Packet[VideoStream], shift: int) -> None:
        """Append a row for `packet`, counting it if it is unusable."""
        problem = self._problem(packet)
        role = PacketRole.UNUSABLE
        if problem is None:
            role = PacketRole.FRAME if self.read_role is None else self.read_role(bytes(packet))
            problem = "damaged" if role == PacketRole.UNUSABLE else None
        if problem is not None:
            self.num_unusable[problem] += 1
        pts, dts, position = (NO_VALUE if value is None else value for value in (packet.pts, packet.dts, packet.pos))
        self.rows.append((pts, dts, packet.duration or 0, packet.size, position, packet.is_keyframe, int(role), shift))

    def _problem(self, packet: Packet[VideoStream]) -> str | None:
        if packet.has_sidedata("new_extradata") and bytes(packet.get_sidedata("new_extradata")) != self.header:
            self.has_other_header = True
        if self.has_other_header:
            return "after a change of the stream's header"
        if packet.is_corrupt:
            return "damaged"
        if packet.pts is None:
            return "without a time"
        if packet.is_discard:
            return "left out by an edit list"
        return None

    def index(self, stream: int, codec: str, time_base: Fraction, notes: list[str]) -> PacketIndex:
        """Build the index; packets that share their time with another become unusable."""
        table = np.array(self.rows, dtype=np.int64).reshape(-1, 8).T
        pts, role = table[0], table[6].astype(np.uint8)
        repeated = _repeated(pts, role)
        role[repeated] = PacketRole.UNUSABLE
        self.num_unusable["with the time of another"] += int(repeated.sum())
        problems = [f"{count} packets {text}" for text, count in self.num_unusable.items() if count]
        return PacketIndex(
            stream=stream, codec=codec, time_base=time_base, pts=pts, dts=table[1], duration=table[2], size=table[3],
            position=table[4], is_keyframe=table[5].astype(bool), role=role, shift=table[7],
            problems=(*notes, *problems),
        )  # fmt: skip


def _repeated(pts: Int64[np.ndarray, " n"], role: UInt8[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    is_shown = (role != PacketRole.HIDDEN) & (role != PacketRole.UNUSABLE)
    values, counts = np.unique(pts[is_shown], return_counts=True)
    return is_shown & np.isin(pts, values[counts > 1])
