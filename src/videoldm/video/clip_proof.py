"""Proof that a copied clip shows the same as its source, by decoding its first and last group of pictures only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from av import VideoFrame
from jaxtyping import Int64

from videoldm.core.errors import InputError
from videoldm.video.bitstream.codecs import content_reader
from videoldm.video.copy_span import CopySpan, access_points, shown_packets, span_packets
from videoldm.video.display import display_matrix, effective_tags
from videoldm.video.packet_reading import IndexedVideo, decode, open_decoder, stored_samples
from videoldm.video.packets import PacketIndex, read_packet_index

_Numbers = Int64[np.ndarray, " n"]


@dataclass(frozen=True, slots=True)
class ClipProof:
    """Short descriptions of the differences between a clip and its source; empty if the clip is proven."""

    differences: tuple[str, ...]

    @property
    def is_proven(self) -> bool:
        """Whether the clip shows the same as its source."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class _Picture:
    """A decoded frame as stored, and the file's tags on how to display it."""

    samples: bytes
    pixel_format: str
    size: tuple[int, int]
    look: tuple[object, ...]

    def differences(self, other: _Picture, name: str) -> Iterator[str]:
        if (self.pixel_format, self.size) != (other.pixel_format, other.size):
            yield f"{name} is {self.pixel_format} {self.size}, not {other.pixel_format} {other.size}"
        elif self.samples != other.samples:
            yield f"{name} has other samples"
        if self.look != other.look:
            yield f"{name} has other tags of rotation, colour or pixel shape: {self.look}, not {other.look}"


@dataclass(frozen=True, slots=True)
class _Ends:
    """First and last frame, and problems found while decoding them."""

    first: _Picture | None
    last: _Picture | None
    problems: tuple[str, ...] = ()


def prove_clip(
    source: str | Path, index: PacketIndex, span: CopySpan, clip: str | Path, *, pixel_aspect: Fraction | None = None
) -> ClipProof:
    """Compare `clip` with the `span` of `source` (whose packets are `index`) that was copied into it.

    pixel_aspect: width over height of the span's stored pixels; None for the stream's.
    Compares the number of packets, their bytes, their times (exactly; to the millisecond in Matroska), and the first
    and the last frame bit by bit with their tags. Decodes the first and the last group of pictures of the clip, in
    which every frame must be present and undamaged; the groups between are not decoded. Raises InputError if the source
    is unreadable.
    """
    try:
        clip_index = read_packet_index(clip)
    except InputError as error:
        return ClipProof((str(error),))
    differences = [*clip_index.problems, *_differences_of_packets(index, span, clip_index)]
    if differences:
        return ClipProof(tuple(differences))
    with open_decoder(source, index) as original, open_decoder(clip, clip_index) as copy:
        differences.extend(_differences_of_bytes(original, copy, span))
        wanted, found = _ends_of_source(original, span, pixel_aspect), _ends_of_clip(copy)
    differences.extend(found.problems)
    for name, here, there in (("first frame", found.first, wanted.first), ("last frame", found.last, wanted.last)):
        if here is None or there is None:
            differences.append(f"{name} cannot be decoded from the {'clip' if here is None else 'source'}")
        else:
            differences.extend(here.differences(there, name))
    return ClipProof(tuple(differences))


def _differences_of_packets(index: PacketIndex, span: CopySpan, clip: PacketIndex) -> Iterator[str]:
    numbers = span_packets(index, span)
    if len(clip) != len(numbers):
        yield f"clip has {len(clip)} packets, not {len(numbers)}"
        return
    if clip.codec != index.codec:
        yield f"clip is {clip.codec}, not {index.codec}"
    # In multiples of a tick that divides both time bases; as objects, because they can be large.
    fine = Fraction(1, clip.time_base.denominator * index.time_base.denominator)
    here = clip.pts.astype(object) * int(clip.time_base / fine)
    there = (index.pts[numbers] - span.start_pts).astype(object) * int(index.time_base / fine)
    # A rounded time is off by at most half a tick.
    is_off = 2 * np.abs(here - there) > (int(clip.time_base / fine) if _counts_milliseconds(clip) else 0)
    if is_off.any():
        yield f"{int(is_off.sum())} packets have other times, packet {int(np.argmax(is_off))} is the first of them"


def _differences_of_bytes(original: IndexedVideo, copy: IndexedVideo, span: CopySpan) -> Iterator[str]:
    videos = (original, copy)
    contents = [content_reader(video.index.codec, video.stream.codec_context.extradata or b"") for video in videos]
    numbers = (span_packets(original.index, span), np.arange(len(copy.index)))
    pairs = zip(*(video.packets(wanted) for video, wanted in zip(videos, numbers, strict=True)), strict=True)
    for number, pair in enumerate(pairs):
        wanted, found = (content(bytes(packet)) for content, packet in zip(contents, pair, strict=True))
        if wanted != found:
            yield f"packet {number} has other bytes"
            return


def _counts_milliseconds(clip: PacketIndex) -> bool:
    return clip.time_base == Fraction(1, 1000)


def _ends_of_source(video: IndexedVideo, span: CopySpan, pixel_aspect: Fraction | None) -> _Ends:
    index = video.index
    numbers = span_packets(index, span)
    last_pts = int(index.pts[shown_packets(index, numbers)].max())
    aspect = pixel_aspect or _aspect_of(video)
    first = next((_picture(frame, aspect) for frame in decode(video, numbers[:1])), None)
    frames = decode(video, _groups(index, numbers)[-1], only_pts=last_pts)
    last = next((_picture(frame, aspect) for frame in frames if frame.pts == last_pts), None)
    return _Ends(first, last)


def _ends_of_clip(video: IndexedVideo) -> _Ends:
    groups = _groups(video.index, np.arange(len(video.index)))
    problems: list[str] = []
    first, last = _ends_of_group(video, groups[0], "first", problems)
    if len(groups) > 1:
        _, last = _ends_of_group(video, groups[-1], "last", problems)
    return _Ends(first, last, tuple(problems))


def _groups(index: PacketIndex, numbers: _Numbers) -> list[Int64[np.ndarray, " _n"]]:
    """Return the packets from each access point up to the next one, without its leading pictures."""
    starts = np.flatnonzero(np.isin(numbers, access_points(index)))
    groups = np.split(numbers, starts)[1:]
    return [group[index.pts[group] >= index.pts[group[0]]] for group in groups]


def _ends_of_group(
    video: IndexedVideo, numbers: _Numbers, name: str, problems: list[str]
) -> tuple[_Picture | None, _Picture | None]:
    """Return the first and the last frame of a group of the clip, appending defects to `problems`."""
    times: list[int | None] = []
    first = last = None
    try:
        for frame in decode(video, numbers):
            times.append(frame.pts)
            if frame.is_corrupt:
                problems.append(f"frame {len(times) - 1} of the {name} group is damaged")
            first, last = first or frame, frame
    except InputError as error:
        problems.append(str(error))
    if times != sorted(video.index.pts[shown_packets(video.index, numbers)].tolist()):
        problems.append(f"the {name} group does not show its frames at their times")
    aspect = _aspect_of(video)
    return _picture(first, aspect), _picture(last, aspect)


def _aspect_of(video: IndexedVideo) -> Fraction:
    return video.stream.sample_aspect_ratio or Fraction(1)


def _picture(frame: VideoFrame | None, pixel_aspect: Fraction) -> _Picture | None:
    if frame is None:
        return None
    look = (display_matrix(frame), effective_tags(frame), pixel_aspect)
    return _Picture(stored_samples(frame), frame.format.name, (frame.width, frame.height), look)
