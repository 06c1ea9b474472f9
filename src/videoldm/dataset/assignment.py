"""Which buckets a clip is in.

The aspect comes first: of the buckets' aspects the nearest to the clip's, and those that are hardly farther, so that
one picture format at two sizes counts as one. Of these buckets the clip is in each one that it is long enough for,
whose rate its source has, and whose frames need not be enlarged from its own.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from videoldm.dataset.config import Bucket
from videoldm.dataset.source import SourceClip

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
