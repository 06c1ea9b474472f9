"""Cutting a clip out of a video without re-encoding: its packets are copied into a file of their own.

mp4 takes H.264, HEVC, AV1, VP9, MPEG-4 part 2, MPEG-1/2 and Motion JPEG; ProRes and DNxHD need mov, VP8 webm, and other
formats Matroska, which takes all but rounds times to milliseconds. Sound, subtitles and tags with text are dropped;
rotation, colour tags and the shape of pixels are kept.

AVI and raw streams do not say when frames are shown. Without B pictures that does no harm; with them, raw streams have
nothing to copy, and the proof of a clip out of an AVI file refuses it if its frames came out of order.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.video.bitstream.nal_units import with_encoder_note
from videoldm.video.bitstream.roles import PacketRole
from videoldm.video.clip_file import clip_times, new_clip_file
from videoldm.video.copy_span import CopySpan, span_packets
from videoldm.video.packet_reading import IndexedVideo, VideoPacket, open_indexed
from videoldm.video.packets import PacketIndex

_IN_MP4_AND_MOV = ("h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg")
_SUFFIXES = {
    **dict.fromkeys(_IN_MP4_AND_MOV, (".mp4", ".mov", ".mkv")),
    **dict.fromkeys(("av1", "vp9"), (".mp4", ".mkv", ".webm")),
    "prores": (".mov", ".mkv"),
    "dnxhd": (".mov",),
    "vp8": (".webm", ".mkv"),
}


def clip_suffixes(codec: str) -> tuple[str, ...]:
    """The endings that a copy of this format can have, the best one first."""
    return _SUFFIXES.get(codec, (".mkv",))


def copy_clip(path: str | Path, index: PacketIndex, span: CopySpan, destination: str | Path) -> None:
    """Write `span` of the video that `index` was read from into `destination`, atomically.

    Raises InputError if the ending does not suit the format, the video has changed since or cannot be read, its packets
    cannot be put into such a file, or the place is not writable.
    """
    suffix = Path(destination).suffix.lower()
    suffixes = clip_suffixes(index.codec)
    if suffix not in suffixes:
        raise InputError(f"{destination}: a copy of {index.codec} should end in {' or '.join(suffixes)}")
    numbers = span_packets(index, span)
    times = clip_times(index.pts[numbers] - span.start_pts, span.end_pts - span.start_pts, index.time_base, suffix)
    try:
        with open_indexed(path, index) as video, new_clip_file(destination) as target:
            stream = _like(video.stream, target)
            for place, packet in enumerate(_packets(video, numbers)):
                times.stamp(packet, place)
                packet.stream = stream
                # As the bitstream says, so that players seek to no false place.
                packet.is_keyframe = index.role[numbers[place]] in (PacketRole.ACCESS, PacketRole.SPLICE)
                target.mux_one(packet)
    except FFmpegError as error:
        raise InputError(f"{destination}: cannot hold these packets of {path} ({error.strerror})") from error


def _like(source: VideoStream, target: OutputContainer) -> VideoStream:
    """A stream of `target` with the header and the tags of `source`."""
    stream = target.add_stream_from_template(source, opaque=True)
    if source.average_rate:
        stream.codec_context.framerate = source.average_rate
    return stream


def _packets(video: IndexedVideo, numbers: Int64[np.ndarray, " n"]) -> Iterator[VideoPacket]:
    """The packets to copy; the first one of H.264 with the name of its encoder, as decoders go by it."""
    packets = video.packets(numbers)
    if video.index.codec == "h264":
        head = next((bytes(packet) for packet in video.container.demux(video.stream) if packet.size), b"")
        header = video.stream.codec_context.extradata or b""
        yield cast("VideoPacket", Packet(with_encoder_note(bytes(next(packets)), head, header)))
    yield from packets
