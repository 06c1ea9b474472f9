"""Cutting a clip out of a video at exactly the wanted frames, by encoding all of it again."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av import VideoFrame
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import PictureType
from av.video.stream import VideoStream

from videoldm.core.errors import InputError
from videoldm.video.clip_file import MOV_SUFFIXES, clip_times, new_clip_file
from videoldm.video.colour import from_rgb, to_layout, to_rgb
from videoldm.video.encode import H264_OPTIONS, NUM_THREADS
from videoldm.video.opening import frame_rate_of, open_video, pick_stream, time_base_of
from videoldm.video.orientation import display_matrix
from videoldm.video.read import stored_frames
from videoldm.video.time import ExactTime, exact_seconds

# What H.264 stores as it is; other formats become 4:4:4.
_KEPT_FORMATS = {
    "yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "yuv444p", "yuvj444p", "gray",
    "yuv420p10le", "yuv422p10le", "yuv444p10le",
}  # fmt: skip
_USUAL_RATE = Fraction(25)


@dataclass(frozen=True, slots=True)
class _Source:
    """What the header of the stream says."""

    time_base: Fraction
    rate: Fraction
    pixel_aspect: Fraction | None


def encode_clip(path: str | Path, start: ExactTime, end: ExactTime, destination: str | Path, *, stream: int = 0) -> int:
    """Write the frames with `start` <= time < `end` as H.264, hardly lossy to the eye; returns how many there are.

    Times are exact, from zero on; rotation, colour tags, the shape of pixels and, where H.264 has it, the format of
    pixels are kept (else they become 4:4:4). Atomic. Raises InputError if no frame is in the span, the video is broken
    there, or `destination` is no mp4, mov or mkv.
    """
    suffix = Path(destination).suffix.lower()
    if suffix not in (*MOV_SUFFIXES, ".mkv"):
        raise InputError(f"{destination}: an encoded clip should end in .mp4, .mov or .mkv")
    source = _source(path, stream)
    stop = math.ceil(exact_seconds(end, name="end") / source.time_base)
    encoded: VideoStream | None = None
    packets: list[Packet[VideoStream]] = []
    times: list[int] = []
    end_pts = stop
    with new_clip_file(destination) as target:
        for frame in stored_frames(path, start=start, stream=stream):
            pts = frame.pts or 0
            if pts >= stop:
                end_pts = stop
                break
            encoded = encoded or _new_stream(target, frame, source)
            times.append(pts)
            packets += encoded.encode(_prepared(frame, pts - times[0], source.time_base))
            end_pts = min(stop, pts + (frame.duration or round(1 / (source.rate * source.time_base))))
        if encoded is None:
            raise InputError(f"{path}: has no frame from {exact_seconds(start)} to {exact_seconds(end)} s")
        packets += encoded.encode(None)
        _write(target, packets, end_pts - times[0], source.time_base, suffix)
    return len(times)


def _source(path: str | Path, index: int) -> _Source:
    with open_video(path) as (_, streams):
        stream = pick_stream(path, streams, index)
        rate = frame_rate_of(stream) or _USUAL_RATE
        return _Source(time_base_of(path, stream), rate, stream.sample_aspect_ratio)


def _new_stream(target: OutputContainer, frame: VideoFrame, source: _Source) -> VideoStream:
    stream = target.add_stream("libx264", rate=source.rate, options=H264_OPTIONS)
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
    """The frame in a format of pixels that H.264 can store; 4:2:0 and 4:2:2 need even sizes."""
    name = frame.format.name
    is_even = frame.width % 2 == frame.height % 2 == 0
    if name in _KEPT_FORMATS and (is_even or "444" in name):
        return frame
    if frame.format.is_rgb or frame.format.has_palette:
        return from_rgb(to_rgb(frame), "yuv444p")
    has_more_bits = any(component.bits > 8 for component in frame.format.components)
    return to_layout(frame, "yuv444p10le" if has_more_bits else "yuv444p")


def _write(
    target: OutputContainer, packets: list[Packet[VideoStream]], end: int, time_base: Fraction, suffix: str
) -> None:
    pts = np.array([round((packet.pts or 0) * packet.time_base / time_base) for packet in packets], np.int64)
    times = clip_times(pts, end, time_base, suffix)
    for place, packet in enumerate(packets):
        times.stamp(packet, place)
        target.mux_one(packet)
