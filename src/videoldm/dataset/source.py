"""What training reads clips from: how many there are, what is known of each, and its frames at exact times."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from videoldm.dataset.config import Bucket
from videoldm.video.picture import fit_picture
from videoldm.video.time import frame_times

CaptionKind = Literal["image", "video", "summary", "given"]
"""Of the middle frame; of the whole clip; both in one sentence; what the list of inputs said of the source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClip:
    """What is known of a clip, beside its frames."""

    name: str
    """For people."""
    video: str
    """Hash of the video that it was cut from."""
    content: str
    """What its frames come from; equal only for clips whose frames are equal at all times."""
    width: int
    height: int
    duration_s: Fraction
    frame_rate: Fraction | None
    """Of the source; None if unknown."""
    pixel_aspect: Fraction = Fraction(1)
    """How much wider than high a pixel is shown."""
    captions: Mapping[CaptionKind, str]
    motion: float | None
    """Mean length of the optical flow, in short sides of the frame per second; None if it was not measured."""


class ClipSource(Protocol):
    """Clips by number."""

    @property
    def fingerprint(self) -> str:
        """Changes with the clips and with what is known of them, not with where they lie."""
        ...

    def __len__(self) -> int:
        """How many clips there are."""
        ...

    def clips(self) -> Iterator[SourceClip]:
        """What is known of all clips, in their order."""
        ...

    def clip(self, index: int) -> SourceClip:
        """What is known of one clip."""
        ...

    def frames(self, index: int, times: Sequence[Fraction]) -> list[UInt8[np.ndarray, "h w 3"]]:
        """The frames shown at these times (ascending, seconds from the clip's first frame on), upright.

        Raises InputError if the clip cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a clip, from `start_s` after its first frame on, as a bucket wants it."""

    bucket: Bucket
    start_s: Fraction

    def times(self) -> list[Fraction]:
        """When each frame is taken, in seconds from the clip's first frame on."""
        return frame_times(self.start_s, self.bucket.num_frames, self.bucket.fps)


def window_of(duration_s: Fraction, bucket: Bucket, number: int, num_windows: int) -> Window:
    """Window `number` of `num_windows` in a clip: the middles of equal parts of where one can begin."""
    spare = duration_s - bucket.span_s
    assert spare > 0, "a clip of a bucket is long enough for it"
    return Window(bucket, spare * (2 * number + 1) / (2 * num_windows))


def read_window(source: ClipSource, index: int, window: Window) -> Float[Tensor, "t 3 h w"]:
    """A window's pixels in [-1, 1], fitted as `generate` fits the picture it is given: centre crop, then resize."""
    frames, pixel_aspect = source.frames(index, window.times()), source.clip(index).pixel_aspect
    height, width = window.bucket.height, window.bucket.width
    fitted: dict[int, Tensor] = {}  # where the source is slower than the bucket, neighbours are one picture
    for frame in frames:
        if id(frame) not in fitted:
            fitted[id(frame)] = fit_picture(frame, height, width, "crop", pixel_aspect=pixel_aspect)
    return torch.stack([fitted[id(frame)] for frame in frames])


SAME_ASPECT = 0.05
"""Difference of the logarithms of aspects up to which a farther one counts as the nearest."""
RATE_TOLERANCE = Fraction(99, 100)
"""24000/1001 frames a second do for a bucket of 24."""


@dataclass
class Assignment:
    """The clips of each bucket, by number in their source, and those in no bucket by reason."""

    clips: list[list[int]]
    refused: list[Counter[str]]
    """For each bucket the reasons why clips are not in it."""
    left_out: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Names of clips."""

    def leave_out(self, name: str, reason: str) -> None:
        """Note a clip that no bucket gets, for a reason of its own."""
        self.left_out.setdefault(reason, []).append(name)
        for refused in self.refused:
            refused[reason] += 1

    @property
    def num_left_out(self) -> int:
        """How many clips are in no bucket."""
        return sum(map(len, self.left_out.values()))


def assign(clips: Iterable[tuple[int, SourceClip]], buckets: Sequence[Bucket]) -> Assignment:
    """Put clips, given with their numbers, into buckets by the rule above."""
    assignment = Assignment([[] for _ in buckets], [Counter() for _ in buckets])
    needs = [_Needs(bucket, bucket.span_s, bucket.fps * RATE_TOLERANCE) for bucket in buckets]
    for index, clip in clips:
        near = _nearest(clip, buckets)
        reasons = {number: _why_not(clip, needs[number]) for number in near}
        for number in range(len(buckets)):
            reason = reasons.get(number, "of another aspect")
            if reason is None:
                assignment.clips[number].append(index)
            else:
                assignment.refused[number][reason] += 1
        if None not in reasons.values():
            assignment.left_out.setdefault(reasons[near[0]] or "", []).append(clip.name)
    return assignment


@dataclass(frozen=True)
class _Needs:
    """A bucket, the seconds that a clip has to exceed and the least rate of its source, reckoned once."""

    bucket: Bucket
    span_s: Fraction
    least_rate: Fraction


def _nearest(clip: SourceClip, buckets: Sequence[Bucket]) -> list[int]:
    """Numbers of the buckets whose aspect is as near as any, the nearest first."""
    aspect = math.log(clip.width * clip.pixel_aspect / clip.height)
    distances = [abs(math.log(bucket.width / bucket.height) - aspect) for bucket in buckets]
    limit = min(distances) + SAME_ASPECT
    return sorted((number for number in range(len(buckets)) if distances[number] <= limit), key=distances.__getitem__)


def _why_not(clip: SourceClip, needs: _Needs) -> str | None:
    bucket = needs.bucket
    if clip.duration_s <= needs.span_s:
        return f"shorter than {float(needs.span_s):.2f} s, which {bucket.name} take"
    if clip.frame_rate is not None and bucket.num_frames > 1 and clip.frame_rate < needs.least_rate:
        return f"fewer frames a second than {bucket.fps}"
    if clip.width < bucket.width or clip.height < bucket.height:
        return f"smaller than {bucket.width}x{bucket.height}"
    return None
