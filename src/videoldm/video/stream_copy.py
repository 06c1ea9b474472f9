"""Cutting a clip out of a video without re-encoding: its packets are copied into a file of their own.

**Times** begin at zero with the first frame shown, exactly. mp4 and mov get no edit list, which many readers ignore:
sample durations are those of the frames in the order shown, and signed composition offsets (version 1 of `ctts`) put
them into that order. Matroska and WebM count milliseconds, so that times are rounded to these there.

**Formats.** mp4 takes H.264, HEVC, AV1, VP9, MPEG-4 part 2, MPEG-1/2 and Motion JPEG; mov takes ProRes and DNxHD as
well; VP8 needs webm or mkv, FFV1 mkv. Sound and subtitles are dropped; rotation, colour tags and the shape of pixels
are kept; tags with text are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.video.bitstream.nal_units import with_encoder_note
from videoldm.video.bitstream.roles import PacketRole
from videoldm.video.copy_span import CopySpan, span_packets
from videoldm.video.packet_reading import IndexedVideo, VideoPacket, open_indexed
from videoldm.video.packets import PacketIndex

_IN_MP4 = ("h264", "hevc", "av1", "vp9", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg")
_SUFFIXES = {
    **dict.fromkeys(_IN_MP4, (".mp4", ".mov", ".mkv")),
    "prores": (".mov", ".mkv"),
    "dnxhd": (".mov", ".mkv"),
    "vp8": (".webm", ".mkv"),
}
_MOV_OPTIONS = {"movflags": "+negative_cts_offsets+faststart", "use_editlist": "0"}
# Bit-exact: no date, no version of the muxer. Its shifting of negative dts would move the first frame away from zero.
_OPTIONS = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
_MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


def clip_suffixes(codec: str) -> tuple[str, ...]:
    """The endings that a copy of this format can have, the best one first."""
    return _SUFFIXES.get(codec, (".mkv",))


def copy_clip(path: str | Path, index: PacketIndex, span: CopySpan, destination: str | Path) -> None:
    """Write `span` of the video that `index` was read from into `destination`, atomically.

    Raises InputError if the ending does not suit the format, the video has changed since, or the place is not writable.
    """
    suffix = Path(destination).suffix.lower()
    suffixes = clip_suffixes(index.codec)
    if suffix not in suffixes:
        raise InputError(f"{destination}: a copy of {index.codec} should end in {' or '.join(suffixes)}")
    is_mov = suffix in (".mp4", ".mov")
    numbers = span_packets(index, span)
    times = _Times(index.pts[numbers] - span.start_pts, span.end_pts - span.start_pts, is_mov=is_mov)
    options = {**_OPTIONS, **(_MOV_OPTIONS if is_mov else {})}
    with (
        open_indexed(path, index) as video,
        atomic_file(destination) as partial,
        av.open(str(partial), "w", format=_MUXERS[suffix], container_options=options) as target,
    ):
        for packet in _copies(video, numbers, times, _like(video.stream, target)):
            target.mux_one(packet)


class _Times:
    """Exact times of a clip's packets in decode order, the first frame at 0.

    Decoding times are those at which frames are shown, in order, as early as it takes for none to be decoded too late:
    so sample durations in mp4, the steps between them, are those of the frames as shown.
    """

    def __init__(self, pts: Int64[np.ndarray, " n"], end: int, *, is_mov: bool) -> None:
        in_order = np.sort(pts)
        edges = np.append(in_order, end)
        rank = np.searchsorted(in_order, pts)
        self.pts = pts
        self.dts = in_order - (in_order - pts).max()
        # mp4 takes the duration of the last packet for the last step; Matroska keeps each frame's own.
        self.durations = np.diff(edges) if is_mov else edges[rank + 1] - pts


def _like(source: VideoStream, target: OutputContainer) -> VideoStream:
    """A stream of `target` with the header and the tags of `source`."""
    stream = target.add_stream_from_template(source, opaque=True)
    if source.average_rate:
        stream.codec_context.framerate = source.average_rate
    return stream


def _copies(
    video: IndexedVideo, numbers: Int64[np.ndarray, " n"], times: _Times, stream: VideoStream
) -> Iterator[VideoPacket]:
    first = next((bytes(packet) for packet in video.container.demux(video.stream) if packet.size), b"")
    for place, packet in enumerate(video.packets(numbers)):
        copied = _named(packet, first, video) if place == 0 else packet
        copied.stream, copied.time_base = stream, video.index.time_base
        copied.pts, copied.dts = int(times.pts[place]), int(times.dts[place])
        copied.duration = int(times.durations[place])
        # As the bitstream says, so that players seek to no false place.
        copied.is_keyframe = video.index.role[numbers[place]] in (PacketRole.ACCESS, PacketRole.SPLICE)
        yield copied


def _named(packet: VideoPacket, first: bytes, video: IndexedVideo) -> VideoPacket:
    """The clip's first packet, with the name of its encoder where decoders go by it."""
    if video.index.codec != "h264":
        return packet
    header = video.stream.codec_context.extradata or b""
    return cast("VideoPacket", Packet(with_encoder_note(bytes(packet), first, header)))
