"""Properties of a video file and its streams, read from its headers as far as possible."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av import VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream

from videoldm.core.errors import InputError
from videoldm.video.display import ColourTags, colour_tags, display_matrix
from videoldm.video.look import LookReader
from videoldm.video.opening import default_stream, frame_rate_of, open_video, pick_stream, time_base_of
from videoldm.video.steady import SteadyPackets


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """One video stream; `width` and `height` are as shown, after rotation. Times count in ticks of `time_base`."""

    codec: str
    pixel_format: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    rotation: int
    is_mirrored: bool
    display_matrix: tuple[int, ...] | None
    pixel_aspect: Fraction
    frame_rate: Fraction | None
    time_base: Fraction
    start_pts: int
    duration_pts: int
    num_frames: int
    colour: ColourTags

    @property
    def duration(self) -> Fraction:
        """Duration in exact seconds."""
        return self.duration_pts * self.time_base


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A video file: its container, its video streams and whether sound comes with them."""

    path: Path
    container: str
    size_bytes: int
    streams: tuple[StreamInfo, ...]
    default_stream: int
    """Number of the video stream that is read unless another one is asked for."""
    num_audio_streams: int

    @property
    def video(self) -> StreamInfo:
        """The default video stream."""
        return self.streams[self.default_stream]


@dataclass(slots=True)
class _Extent:
    """Extent of a stream by its packets, where its header does not declare it."""

    num_frames: int = 0
    start_pts: int | None = None
    end_pts: int = 0

    def add(self, pts: int | None, duration: int) -> None:
        self.num_frames += 1
        pts = self.end_pts if pts is None else pts
        self.start_pts = pts if self.start_pts is None else min(self.start_pts, pts)
        self.end_pts = max(self.end_pts, pts + duration)


def probe(path: str | Path) -> VideoInfo:
    """Read the properties of a video file from its headers and first frames.

    Frame count and duration come from the headers, without the frames that an edit list leaves out; where those lack
    them (Matroska, MPEG-TS) the packets are counted, which reads the file once but decodes nothing. Raises InputError
    as `open_video` does, and if a stream cannot be decoded.
    """
    with open_video(path) as (container, streams):
        name, num_audio = container.format.name, len(container.streams.audio)
        size_bytes = container.size
        default = default_stream(streams)
        extents = _extents(path, container, streams)
    infos = tuple(_stream_info(path, index, extent) for index, extent in enumerate(extents))
    return VideoInfo(Path(path), name, size_bytes, infos, default, num_audio)


def _extents(path: str | Path, container: InputContainer, streams: tuple[VideoStream, ...]) -> list[_Extent]:
    if all(map(_is_declared, streams)):
        return [_header_extent(stream) for stream in streams]
    extents = {stream.index: _Extent() for stream in streams}
    try:
        packets = container.demux(*streams)
        steady = {
            stream.index: SteadyPackets(packets, time_base_of(path, stream), container.format.name)
            for stream in streams
        }
        for packet in packets:
            # The demuxer ends with an empty packet for each stream.
            if packet.size and not packet.is_discard:
                steady[packet.stream_index].move(packet)
                extents[packet.stream_index].add(packet.pts, packet.duration or 0)
    except FFmpegError as error:
        raise InputError(f"{path}: is broken: {error.strerror}") from error
    return list(extents.values())


def _is_declared(stream: VideoStream) -> bool:
    """Whether the headers say what is shown; they count frames that an edit list leaves out too."""
    if not (stream.frames and stream.duration and stream.start_time is not None):
        return False
    return not any(entry.is_discard for entry in stream.index_entries)


def _header_extent(stream: VideoStream) -> _Extent:
    start, duration = stream.start_time or 0, stream.duration or 0
    return _Extent(stream.frames, start, start + duration)


def _stream_info(path: str | Path, index: int, extent: _Extent) -> StreamInfo:
    with open_video(path) as (container, streams):
        stream = pick_stream(path, streams, index)
        frame = _first_frame(path, container, stream)
        look = LookReader(stream).read(frame)
        width, height = look.shown_size
        start = extent.start_pts if extent.start_pts is not None else frame.pts or 0
        return StreamInfo(
            codec=stream.codec_context.codec.canonical_name,
            pixel_format=look.pixel_format,
            width=width,
            height=height,
            coded_width=look.width,
            coded_height=look.height,
            rotation=look.turn.rotation,
            is_mirrored=look.turn.is_mirrored,
            display_matrix=display_matrix(frame),
            pixel_aspect=look.pixel_aspect,
            frame_rate=frame_rate_of(stream),
            time_base=time_base_of(path, stream),
            start_pts=start,
            duration_pts=extent.end_pts - start,
            num_frames=extent.num_frames,
            colour=colour_tags(frame),
        )


def _first_frame(path: str | Path, container: InputContainer, stream: VideoStream) -> VideoFrame:
    try:
        frame = next(iter(container.decode(stream)), None)
    except FFmpegError as error:
        raise InputError(f"{path}: is broken: its first frame cannot be decoded ({error.strerror})") from error
    if frame is None:
        raise InputError(f"{path}: has no frame in it")
    return frame
