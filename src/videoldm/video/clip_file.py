"""Cutting a clip out of a video into a file of its own: by copying its packets or by encoding it again.

**Copies.** mp4 takes H.264, HEVC, AV1, VP9, MPEG-4 part 2, MPEG-1/2 and Motion JPEG; ProRes and DNxHD need mov, VP8
webm, and other formats Matroska, which takes everything but rounds times to milliseconds. Sound, subtitles and text
tags are dropped; rotation, colour tags and the pixel aspect are kept. AVI and raw streams do not store when frames are
shown. Without B pictures that does no harm; with them, raw streams have nothing to copy, and the proof of a clip out of
an AVI file rejects it if its frames came out of order.

**Times** are exact and start at zero. mp4 and mov get no edit list, which many readers ignore: durations of samples are
those of the frames in the order shown, and signed composition offsets (version 1 of `ctts`) restore that order.
Matroska and WebM round times to milliseconds.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple, cast

import av
import numpy as np
from av import VideoFrame
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.core.files import atomic_file
from videoldm.video.bitstream.nal_units import with_encoder_note
from videoldm.video.bitstream.roles import PacketRole
from videoldm.video.copy_span import CopySpan, span_packets
from videoldm.video.display import display_matrix, from_rgb, stored_rgb, to_pixel_format
from videoldm.video.encode import H264_OPTIONS, NUM_THREADS
from videoldm.video.hdr import dynamic_metadata, mastering_options
from videoldm.video.interlacing import field_order
from videoldm.video.opening import frame_rate_of, open_video, pick_stream, time_base_of
from videoldm.video.packet_reading import IndexedVideo, VideoPacket, open_indexed
from videoldm.video.packets import PacketIndex
from videoldm.video.read import stored_frames
from videoldm.video.steady import Times
from videoldm.video.time import ExactTime, exact_seconds

_MOV_SUFFIXES = (".mp4", ".mov")
_MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
# Neither a date nor the version of the muxer.
_MUXER_OPTIONS = {"fflags": "+bitexact"}
_MOV_OPTIONS = {"movflags": "+negative_cts_offsets+faststart", "use_editlist": "0"}
_IN_MP4_AND_MOV = ("h264", "hevc", "mpeg4", "mpeg1video", "mpeg2video", "mjpeg")
_COPY_SUFFIXES = {
    **dict.fromkeys(_IN_MP4_AND_MOV, (".mp4", ".mov", ".mkv")),
    **dict.fromkeys(("av1", "vp9"), (".mp4", ".mkv", ".webm")),
    "prores": (".mov", ".mkv"),
    "dnxhd": (".mov",),
    "vp8": (".webm", ".mkv"),
}
# Pixel formats that H.264 stores unchanged; others become 4:4:4.
_KEPT_FORMATS = {
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray",
    "yuv420p10le", "yuv422p10le", "yuv444p10le",
}  # fmt: skip
_USUAL_RATE = Fraction(25)


def clip_suffixes(codec: str) -> tuple[str, ...]:
    """Return the file extensions that a copy of this format can have, the best one first."""
    return _COPY_SUFFIXES.get(codec, (".mkv",))


@dataclass(frozen=True, slots=True)
class StoredShape:
    """Size of stored frames and width over height of their pixels, where these are not those of the stream's start."""

    width: int
    height: int
    pixel_aspect: Fraction


def copy_clip(
    path: str | Path, index: PacketIndex, span: CopySpan, destination: str | Path, *, shape: StoredShape | None = None
) -> None:
    """Copy the packets of `span` from the video that `index` was read from into `destination`, atomically.

    shape: that of the frames in the span; None for the stream's.
    Raises InputError if the file extension does not suit the format, the video has changed since or is unreadable, its
    packets do not fit into such a file, or `destination` is not writable.
    """
    suffix = Path(destination).suffix.lower()
    suffixes = clip_suffixes(index.codec)
    if suffix not in suffixes:
        raise InputError(f"{destination}: a copy of {index.codec} should end in {' or '.join(suffixes)}")
    numbers = span_packets(index, span)
    times = _clip_times(index.pts[numbers] - span.start_pts, span.end_pts - span.start_pts, index.time_base, suffix)
    try:
        with open_indexed(path, index) as video, _new_clip_file(destination) as target:
            stream = _like(video.stream, target, shape)
            for place, packet in enumerate(_copied_packets(video, numbers)):
                times.stamp(packet, place)
                packet.stream = stream
                # By the bitstream, so that players seek only to places where decoding can begin.
                packet.is_keyframe = index.role[numbers[place]] in (PacketRole.ACCESS, PacketRole.SPLICE)
                target.mux_one(packet)
    except FFmpegError as error:
        raise InputError(f"{destination}: cannot hold these packets of {path} ({error.strerror})") from error


class EncodedClip(NamedTuple):
    """What became of the frames of a clip that was encoded again."""

    num_frames: int
    lost_metadata: tuple[str, ...]
    """Kinds of HDR metadata that frames had each for themselves, and that the clip does not have."""


def encode_clip(
    path: str | Path,
    start: ExactTime,
    end: ExactTime,
    destination: str | Path,
    *,
    stream: int | None = None,
    clock: Times = "stored",
    shape: StoredShape | None = None,
) -> EncodedClip:
    """Encode the frames with `start` <= time < `end` as visually lossless H.264.

    Rotation, colour tags, mastering data, the order of fields, the pixel aspect and, where H.264 has it, the pixel
    format are kept (else it becomes 4:4:4); HDR metadata of single frames is not. Atomic. Raises InputError if no frame
    is in the span, the video is broken there, or `destination` is not an mp4, mov or mkv file.
    """
    suffix = Path(destination).suffix.lower()
    if suffix not in (*_MOV_SUFFIXES, ".mkv"):
        raise InputError(f"{destination}: an encoded clip should end in .mp4, .mov or .mkv")
    source = _source(path, stream)
    if shape is not None:
        source = replace(source, pixel_aspect=shape.pixel_aspect)
    stop = math.ceil(exact_seconds(end, name="end") / source.time_base)
    encoded: VideoStream | None = None
    packets: list[Packet[VideoStream]] = []
    times: list[int] = []
    lost: set[str] = set()
    end_pts = stop
    with _new_clip_file(destination) as target:
        for frame in stored_frames(path, start=start, stream=stream, clock=clock):
            pts = frame.pts or 0
            if pts >= stop:
                end_pts = stop
                break
            encoded = encoded or _new_stream(target, frame, source)
            times.append(pts)
            lost |= dynamic_metadata(frame)
            packets += encoded.encode(_prepared(frame, pts - times[0], source.time_base))
            end_pts = min(stop, pts + (frame.duration or round(1 / (source.rate * source.time_base))))
        if encoded is None:
            raise InputError(f"{path}: has no frame from {exact_seconds(start)} to {exact_seconds(end)} s")
        packets += encoded.encode(None)
        _write(target, packets, end_pts - times[0], source.time_base, suffix)
    return EncodedClip(len(times), tuple(sorted(lost)))


def _like(source: VideoStream, target: OutputContainer, shape: StoredShape | None) -> VideoStream:
    """Add a stream with the header and the tags of `source` to `target`."""
    stream = target.add_stream_from_template(source, opaque=True)
    context = stream.codec_context
    if shape is not None:
        context.width, context.height = shape.width, shape.height
        context.sample_aspect_ratio = shape.pixel_aspect
    if source.average_rate:
        context.framerate = source.average_rate
    return stream


def _copied_packets(video: IndexedVideo, numbers: Int64[np.ndarray, " n"]) -> Iterator[VideoPacket]:
    """Yield the packets to copy; the first one of H.264 gets the name of its encoder, which decoders rely on."""
    packets = video.packets(numbers)
    if video.index.codec == "h264":
        head = next((bytes(packet) for packet in video.container.demux(video.stream) if packet.size), b"")
        header = video.stream.codec_context.extradata or b""
        yield cast("VideoPacket", Packet(with_encoder_note(bytes(next(packets)), head, header)))
    yield from packets


@dataclass(frozen=True, slots=True)
class _Source:
    """Properties of the source stream, from its header."""

    time_base: Fraction
    rate: Fraction
    pixel_aspect: Fraction | None
    field_order: str | None


def _source(path: str | Path, index: int | None) -> _Source:
    with open_video(path) as (_, streams):
        stream = pick_stream(path, streams, index)
        rate = frame_rate_of(stream) or _USUAL_RATE
        return _Source(time_base_of(path, stream), rate, stream.sample_aspect_ratio, field_order(stream))


def _new_stream(target: OutputContainer, frame: VideoFrame, source: _Source) -> VideoStream:
    options = {**H264_OPTIONS, "x264-params": ":".join([H264_OPTIONS["x264-params"], *mastering_options(frame)])}
    if frame.interlaced_frame:
        options["flags"] = "+ildct+ilme"
        options["x264-params"] += ":tff=1" if source.field_order in ("tt", "bt") else ":bff=1"
    stream = target.add_stream("libx264", rate=source.rate, options=options)
    assert isinstance(stream, VideoStream)
    stored = _stored(frame)
    stream.width, stream.height, stream.pix_fmt = stored.width, stored.height, stored.format.name
    context = stream.codec_context
    context.thread_count = NUM_THREADS
    context.time_base = source.time_base
    context.sample_aspect_ratio = source.pixel_aspect or Fraction(1)
    context.colorspace, context.color_range = stored.colorspace, stored.color_range
    context.color_primaries, context.color_trc = stored.color_primaries, stored.color_trc
    stream.set_display_matrix(display_matrix(frame))
    return stream


def _prepared(frame: VideoFrame, pts: int, time_base: Fraction) -> VideoFrame:
    stored = _stored(frame)
    stored.pts, stored.time_base = pts, time_base
    stored.pict_type = PictureType.NONE  # for the encoder to choose
    return stored


def _stored(frame: VideoFrame) -> VideoFrame:
    """Return the frame in a pixel format that H.264 can store; 4:2:0 and 4:2:2 need even sizes."""
    name = frame.format.name
    is_even = frame.width % 2 == frame.height % 2 == 0
    if name in _KEPT_FORMATS and (is_even or "444" in name):
        return frame
    if frame.format.is_rgb or frame.format.has_palette:
        return from_rgb(stored_rgb(frame), "yuv444p")
    has_more_bits = any(component.bits > 8 for component in frame.format.components)
    return to_pixel_format(frame, "yuv444p10le" if has_more_bits else "yuv444p")


def _write(
    target: OutputContainer, packets: list[Packet[VideoStream]], end: int, time_base: Fraction, suffix: str
) -> None:
    pts = np.array([round((packet.pts or 0) * packet.time_base / time_base) for packet in packets], np.int64)
    times = _clip_times(pts, end, time_base, suffix)
    for place, packet in enumerate(packets):
        times.stamp(packet, place)
        target.mux_one(packet)


@dataclass(frozen=True, eq=False, slots=True)
class _ClipTimes:
    """Times of a clip's packets in decode order, in ticks of `time_base`."""

    pts: Int64[np.ndarray, " n"]
    dts: Int64[np.ndarray, " n"]
    duration: Int64[np.ndarray, " n"]
    time_base: Fraction

    def stamp(self, packet: Packet[VideoStream], place: int) -> None:
        """Set the times of the packet at `place`."""
        packet.pts, packet.dts, packet.duration = (int(times[place]) for times in (self.pts, self.dts, self.duration))
        packet.time_base = self.time_base


def _clip_times(pts: Int64[np.ndarray, " n"], end: int, time_base: Fraction, suffix: str) -> _ClipTimes:
    """Return the times of frames shown at `pts` (in decode order, from 0 on) in a file that ends at `end`.

    Decoding times are the times at which the frames are shown, in order, moved until none is decoded too late.
    """
    in_order = np.sort(pts)
    edges = np.append(in_order, end)
    # mp4 takes the steps of dts for durations, and that of the last packet for the last step; Matroska keeps its own.
    duration = np.diff(edges) if suffix in _MOV_SUFFIXES else edges[np.searchsorted(in_order, pts) + 1] - pts
    return _ClipTimes(pts, in_order - (in_order - pts).max(), duration, time_base)


@contextlib.contextmanager
def _new_clip_file(destination: str | Path) -> Generator[OutputContainer]:
    """Yield a container that becomes `destination` when the block ends without an error."""
    suffix = Path(destination).suffix.lower()
    options = {**_MUXER_OPTIONS, **(_MOV_OPTIONS if suffix in _MOV_SUFFIXES else {})}
    with (
        atomic_file(destination) as partial,
        av.open(str(partial), "w", format=_MUXERS[suffix], container_options=options) as container,
    ):
        yield container
