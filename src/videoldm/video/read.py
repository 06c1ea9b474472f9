"""Reading frames by exact time, whatever the file's frame rate."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from av import VideoFrame
from av.container import InputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from jaxtyping import Float, UInt8
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.video.decoding import StreamDecoder
from videoldm.video.display import display_matrix, orientation, to_rgb
from videoldm.video.interlacing import progressive
from videoldm.video.opening import frame_rate_of, open_damaged, open_video, pick_stream, time_base_of
from videoldm.video.pixels import from_uint8
from videoldm.video.steady import Times
from videoldm.video.time import ExactTime, Timestamp, exact_seconds, frame_times, parse_rate
from videoldm.video.undamaged import UndamagedFrames

# Distances before the requested time at which to look for a key frame, if the one by the index comes out too late.
_SEEK_BACK_S = (0, 2, 10)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded frame, turned upright: `pixels` are RGB 0..255, shown from `time` on."""

    pixels: UInt8[np.ndarray, "h w 3"]
    time: Timestamp


@dataclass(frozen=True, slots=True)
class _Timing:
    """The timing of a stream, which decides which frame is shown when."""

    time_base: Fraction
    start_pts: int
    frame_ticks: Fraction | None  # None if the file gives no rate
    times: Times

    @property
    def slack(self) -> int:
        """Largest rounding error of the container's time stamps, in ticks.

        Matroska counts milliseconds: frames of 1/30 s are at 0, 33, 67 ms, so that a clip at 30 fps would miss the
        third frame at 66.7 ms. Where frames last whole ticks, or just a few, time stamps count as exact.
        """
        is_rounded = self.frame_ticks is not None and self.frame_ticks.denominator != 1 and self.frame_ticks >= 4
        return 1 if is_rounded else 0


def read_frames(
    path: str | Path,
    *,
    start: ExactTime | None = None,
    end: ExactTime | None = None,
    stream: int | None = None,
    clock: Times = "stored",
) -> Iterator[Frame]:
    """Yield the frames with `start` <= time < `end` of a video stream, in the order they are shown.

    stream: number of the video stream, from 0; None for the default one.
    clock: `times` of the stream as curation found them; unless they are as stored, the file is read from its start.
    Frames are upright (rotation and mirroring applied) and keep their stored size: pixels that are not square stay so.
    Raises InputError if the file cannot be used, also when damage is found only after some frames.
    """
    frames = stored_frames(path, start=start, end=end, stream=stream, clock=clock)
    timing = _timing(path, stream, clock)
    yield from (_finish(frame, timing) for frame in frames)


def stored_frames(
    path: str | Path,
    *,
    start: ExactTime | None = None,
    end: ExactTime | None = None,
    stream: int | None = None,
    clock: Times = "stored",
) -> Iterator[VideoFrame]:
    """Yield frames as `read_frames` does, but as decoded: neither turned nor converted to RGB."""
    timing = _timing(path, stream, clock)
    first = None if start is None else math.ceil(exact_seconds(start, name="start") / timing.time_base)
    stop = math.inf if end is None else exact_seconds(end, name="end") / timing.time_base
    for frame in _decode_from(path, stream, timing, first):
        pts = _pts(path, frame)
        if pts >= stop:
            return
        if first is None or pts >= first:
            yield frame


def frames_at(
    path: str | Path,
    times: Sequence[Fraction],
    *,
    end: ExactTime | None = None,
    stream: int | None = None,
    clock: Times = "stored",
) -> list[Frame]:
    """Return the frame being shown at each of `times` (ascending, exact seconds on the stream's clock).

    That is the frame with the largest time stamp up to the requested time, up to one tick later where the container
    rounds its time stamps; never one shown from `end` on, where a cut may be. Raises InputError for times before the
    first frame, or at or after `end` or the end of the last frame.
    """
    if any(later < earlier for earlier, later in itertools.pairwise(times)):
        raise InputError("times to read frames at should be in ascending order")
    if not times:
        return []
    timing = _timing(path, stream, clock)
    stop = None if end is None else exact_seconds(end, name="end") / timing.time_base
    return _pick(path, [exact_seconds(time) for time in times], timing, stream, stop)


def start_time(path: str | Path, *, stream: int | None = None) -> Fraction:
    """Return the time of the first frame, in exact seconds on the stream's clock."""
    timing = _timing(path, stream, "stored")
    return timing.start_pts * timing.time_base


def read_clip(
    path: str | Path, start: ExactTime | None, num_frames: int, fps: Fraction, *, stream: int | None = None
) -> Float[Tensor, "t c h w"]:
    """Read `num_frames` frames at the exact rate `fps` from `start` on (None: the first frame), as pixels in [-1, 1].

    Each is the frame being shown at its time, as for `frames_at`, so the file's own rate does not matter.
    """
    if num_frames < 1:
        raise InputError(f"num_frames is {num_frames}, it should be at least 1")
    timing = _timing(path, stream, "stored")
    begin = timing.start_pts * timing.time_base if start is None else exact_seconds(start, name="start")
    frames = _pick(path, frame_times(begin, num_frames, parse_rate(fps)), timing, stream)
    pixels = torch.from_numpy(np.stack([frame.pixels for frame in frames]))
    return from_uint8(pixels.permute(0, 3, 1, 2).contiguous())


def _pick(
    path: str | Path, times: Sequence[Fraction], timing: _Timing, stream: int | None, stop: Fraction | None = None
) -> list[Frame]:
    wanted = [time / timing.time_base for time in times]
    picked: list[Frame] = []
    shown: VideoFrame | None = None
    for frame in _decode_from(path, stream, timing, math.floor(wanted[0])):
        if stop is not None and shown is not None and _pts(path, frame) >= stop:
            end = stop
            break
        # The frame before this one is shown until this one comes.
        until = _pts(path, frame) - timing.slack
        _take(picked, shown, wanted, until, timing)
        if len(picked) == len(wanted):
            return picked
        if shown is None and wanted[0] < until:
            raise InputError(f"{path}: starts at {_seconds(until, timing)}, no frame at {_seconds(wanted[0], timing)}")
        shown = frame
    else:
        end = _end(path, shown, timing)
    _take(picked, shown, wanted, end, timing)
    if len(picked) < len(wanted):
        missing = wanted[len(picked)]
        raise InputError(
            f"{path}: ends at {_seconds(end, timing)}, frame {len(picked) + 1} of {len(wanted)} is wanted at "
            f"{_seconds(missing, timing)}"
        )
    return picked


def _take(
    picked: list[Frame], shown: VideoFrame | None, wanted: Sequence[Fraction], until: Fraction | int, timing: _Timing
) -> None:
    """Append `shown` to `picked` once for each further requested time before `until`."""
    num_times = bisect.bisect_left(wanted, until) - len(picked)
    if shown is not None and num_times > 0:
        picked.extend([_finish(shown, timing)] * num_times)


def _end(path: str | Path, last: VideoFrame | None, timing: _Timing) -> Fraction:
    if last is None:
        raise InputError(f"{path}: has no frame that can be decoded")
    duration = last.duration or timing.frame_ticks or 1
    return _pts(path, last) + Fraction(duration)


def _timing(path: str | Path, index: int | None, times: Times) -> _Timing:
    with open_video(path) as (_, streams):
        stream = pick_stream(path, streams, index)
        rate = frame_rate_of(stream)
        time_base = time_base_of(path, stream)
        ticks = None if not rate else 1 / (rate * time_base)
        return _Timing(time_base, stream.start_time or 0, ticks, times)


def _decode_from(path: str | Path, index: int | None, timing: _Timing, pts: int | None) -> Iterator[VideoFrame]:
    """Yield decoded frames, beginning with one that is shown at or before `pts` if there is any.

    A container's index knows when a key frame is decoded, not always when it is shown, and frames right after a key
    frame may refer to frames before it; so the first decoded frame decides whether the seek went far enough.
    """
    if timing.times != "stored":
        yield from _decode_steadily(path, index)
        return
    if pts is not None and pts > timing.start_pts:
        for back_s in _SEEK_BACK_S:
            frames = _decode(path, index, pts - math.ceil(back_s / timing.time_base))
            first = next(frames, None)
            if first is not None and _pts(path, first) <= pts:
                yield first
                yield from frames
                return
            frames.close()
    yield from _decode(path, index, None)


def _decode(path: str | Path, index: int | None, seek_pts: int | None) -> Generator[VideoFrame]:
    with open_video(path) as (container, streams):
        stream = pick_stream(path, streams, index)
        stream.thread_type = "AUTO"
        if seek_pts is not None:
            try:
                # The first frame names the encoder of the file, and decoders work around the bugs of some: after a
                # seek alone, 4:4:4 files of older x264 versions decode to garbage.
                next(container.decode(stream), None)
                container.seek(seek_pts, stream=stream)
            except FFmpegError:
                return  # cannot seek there: the caller goes further back, in the end to the start
        yield from _undamaged(path, container, stream, is_seeking=seek_pts is not None)


def _decode_steadily(path: str | Path, index: int | None) -> Iterator[VideoFrame]:
    """Yield all frames with the times that they have in tables; where something is broken, none."""
    with open_damaged(path) as (container, streams):
        stream = pick_stream(path, streams, index)
        stream.thread_type = "AUTO"
        yield from (one for one in UndamagedFrames(path, container, stream) if isinstance(one, VideoFrame))


def _undamaged(
    path: str | Path, container: InputContainer, stream: VideoStream, *, is_seeking: bool
) -> Iterator[VideoFrame]:
    """Yield the decoded frames, without those at the start that refer to frames that were cut off."""
    last: VideoFrame | None = None
    frames = _decoded_after_seek(container, stream) if is_seeking else _decoded(container, stream)
    try:
        for frame in frames:
            if not frame.is_corrupt:
                last = frame
                yield frame
            elif last is not None:
                raise InputError(f"{path}: is broken after {_place(last, stream)}")
    except FFmpegError as error:
        place = "at its start" if last is None else f"after {_place(last, stream)}"
        raise InputError(f"{path}: is broken {place} ({error.strerror})") from error


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    decoder = StreamDecoder(stream)
    for packet in container.demux(stream):
        yield from decoder.decode(packet)


def _decoded_after_seek(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Yield the frames from the first packet on that can be decoded: a seek may lead between key frames."""
    decoder, has_begun = StreamDecoder(stream), False
    for packet in container.demux(stream):
        try:
            for frame in decoder.decode(packet):
                has_begun = True
                yield frame
        except FFmpegError:
            if has_begun:
                raise


def _place(frame: VideoFrame, stream: VideoStream) -> str:
    return f"{float((frame.pts or 0) * (stream.time_base or 0)):.3f} s"


def _finish(frame: VideoFrame, timing: _Timing) -> Frame:
    upright = orientation(display_matrix(frame)).apply(to_rgb(progressive(frame)))
    return Frame(upright, Timestamp(frame.pts or 0, timing.time_base))


def _pts(path: str | Path, frame: VideoFrame) -> int:
    if frame.pts is None:
        raise InputError(f"{path}: its frames carry no time, copy the stream into an mp4 or mkv file first")
    return frame.pts


def _seconds(ticks: Fraction | int, timing: _Timing) -> str:
    return f"{float(ticks * timing.time_base):.3f} s"
