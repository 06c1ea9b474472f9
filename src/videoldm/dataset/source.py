"""Sources of clips for training: facts about each clip, its frames at exact times, windows, and buckets."""

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
"""Caption of the middle frame; of the whole clip; both in one sentence; from the list of inputs."""
SAME_ASPECT = 0.05
"""Difference of log aspects up to which a farther bucket counts as near as the nearest."""
RATE_TOLERANCE = Fraction(99, 100)
"""Share of a bucket's rate that a source needs: 24000/1001 frames a second suffice for 24."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceClip:
    """Facts about a clip, without its frames."""

    name: str
    """Name for people."""
    video: str
    """Hash of the video that it was cut from."""
    content: str
    """Identity of its frames; equal only for clips whose frames are equal at all times."""
    width: int
    height: int
    duration_s: Fraction
    frame_rate: Fraction | None
    """Frame rate of the source; None if unknown."""
    pixel_aspect: Fraction = Fraction(1)
    """Width of a pixel as shown over its height."""
    captions: Mapping[CaptionKind, str]
    motion: float | None
    """Mean length of the optical flow, in short sides of the frame per second; None if it was not measured."""


class ClipSource(Protocol):
    """Clips by number."""

    @property
    def fingerprint(self) -> str:
        """Hash of the clips and the facts about them, which does not depend on where they lie."""
        ...

    def __len__(self) -> int:
        """Return the number of clips."""
        ...

    def clips(self) -> Iterator[SourceClip]:
        """Iterate over the facts about all clips, in their order."""
        ...

    def clip(self, index: int) -> SourceClip:
        """Return the facts about one clip."""
        ...

    def frames(self, index: int, times: Sequence[Fraction]) -> list[UInt8[np.ndarray, "h w 3"]]:
        """Return the frames shown at these times (ascending, seconds after the clip's first frame), upright.

        Raises InputError if the clip cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class ClipWindow:
    """A part of a clip that suits a bucket, from `start_s` after its first frame."""

    bucket: Bucket
    start_s: Fraction

    def times(self) -> list[Fraction]:
        """Return the times of the frames, in seconds after the clip's first frame."""
        return frame_times(self.start_s, self.bucket.num_frames, self.bucket.fps)


def window_of(duration_s: Fraction, bucket: Bucket, number: int, num_windows: int) -> ClipWindow:
    """Return window `number` of `num_windows` in a clip: starts are the middles of equal parts of the possible ones."""
    spare = duration_s - bucket.span_s
    assert spare > 0, "a clip of a bucket is long enough for it"
    return ClipWindow(bucket, spare * (2 * number + 1) / (2 * num_windows))


def read_window(source: ClipSource, index: int, window: ClipWindow) -> Float[Tensor, "t 3 h w"]:
    """Read a window's pixels in [-1, 1], fitted as `generate` fits its input picture: centre crop, then resize."""
    frames, pixel_aspect = source.frames(index, window.times()), source.clip(index).pixel_aspect
    height, width = window.bucket.height, window.bucket.width
    fitted: dict[int, Tensor] = {}  # if the source is slower than the bucket, neighbours are one picture
    for frame in frames:
        if id(frame) not in fitted:
            fitted[id(frame)] = fit_picture(frame, height, width, "crop", pixel_aspect=pixel_aspect)
    return torch.stack([fitted[id(frame)] for frame in frames])


@dataclass
class Assignment:
    """Clips of each bucket, by number in their source, and those in no bucket by reason."""

    clips: list[list[int]]
    refused: list[Counter[str]]
    """For each bucket, the reasons why clips are not in it."""
    left_out: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Names of clips in no bucket, by reason."""

    def leave_out(self, name: str, reason: str) -> None:
        """Record a clip that is in no bucket, for a reason of its own."""
        self.left_out.setdefault(reason, []).append(name)
        for refused in self.refused:
            refused[reason] += 1

    @property
    def num_left_out(self) -> int:
        """Number of clips in no bucket."""
        return sum(map(len, self.left_out.values()))


def assign(clips: Iterable[tuple[int, SourceClip]], buckets: Sequence[Bucket]) -> Assignment:
    """Assign clips, given with their numbers, to buckets.

    The aspect comes first: the nearest of the buckets' aspects and those hardly farther, so that one picture format at
    two sizes counts as one. Of these buckets a clip is in each one that it is long enough for, whose rate its source
    has, and whose frames need not be enlarged from its own.
    """
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
    """A bucket, the seconds that a clip has to exceed, and the least rate of its source, computed once."""

    bucket: Bucket
    span_s: Fraction
    least_rate: Fraction


def _nearest(clip: SourceClip, buckets: Sequence[Bucket]) -> list[int]:
    """Return the numbers of the buckets whose aspect counts as nearest, the nearest first."""
    aspect = math.log(clip.width * clip.pixel_aspect / clip.height)
    distances = [abs(math.log(bucket.width / bucket.height) - aspect) for bucket in buckets]
    limit = min(distances) + SAME_ASPECT
    return sorted((number for number in range(len(buckets)) if distances[number] <= limit), key=distances.__getitem__)


def _why_not(clip: SourceClip, needs: _Needs) -> str | None:
    bucket = needs.bucket
    if clip.duration_s <= needs.span_s:
        return f"shorter than {float(needs.span_s):.2f} s, which {bucket.name} need"
    if clip.frame_rate is not None and bucket.num_frames > 1 and clip.frame_rate < needs.least_rate:
        return f"fewer frames a second than {bucket.fps}"
    if clip.width < bucket.width or clip.height < bucket.height:
        return f"smaller than {bucket.width}x{bucket.height}"
    return None
