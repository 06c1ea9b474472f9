"""Choice of clips: those of an export that a stage learns from, their buckets, and why others are left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from videoldm.core.errors import InputError
from videoldm.dataset.exports import ExportedClips, open_export
from videoldm.dataset.source import Assignment, CaptionKind, SourceClip, assign
from videoldm.training.data.config import (
    AllVideos,
    CuratedData,
    HeldOutVideos,
    Measured,
    NoCaptions,
    SampledCaptions,
    Videos,
)


@dataclass(frozen=True)
class ChosenClips:
    """An export and the assignment of its clips to buckets."""

    data: CuratedData
    source: ExportedClips
    assignment: Assignment

    def check(self) -> None:
        """Raise InputError for a bucket without a clip, with the most frequent reasons."""
        parts = zip(self.data.buckets, self.assignment.clips, self.assignment.refused, strict=True)
        for bucket, clips, refused in parts:
            if not clips:
                reasons = "; ".join(f"{reason}: {count:,}" for reason, count in refused.most_common(2))
                if not reasons:
                    raise InputError(
                        f"{self.data.folder}: no video is left by videos.kind={self.data.videos.kind}: export clips of "
                        f"several videos, or train and validate on the same ones with videos.kind=all in both places"
                    )
                raise InputError(
                    f"{self.data.folder}: no clip is for the bucket {bucket.name} ({reasons}): take it out, or see "
                    f"videoldm dataset check"
                )


def choose_clips(data: CuratedData) -> ChosenClips:
    """Read the index and assign its clips; raise InputError if it cannot be read or no clip can be used."""
    source = open_export(Path(data.folder))
    without: list[tuple[str, str]] = []
    assignment = assign(_usable(source, data, without), data.buckets)
    for clip in source.left_out:
        assignment.leave_out(clip.name, clip.reason)
    for name, reason in without:
        assignment.leave_out(name, reason)
    return ChosenClips(data, source, assignment)


def choose_for_training(data: CuratedData) -> ChosenClips:
    """Choose clips, and raise InputError also for a bucket without any."""
    chosen = choose_clips(data)
    chosen.check()
    return chosen


def caption_shares(captions: SampledCaptions, clip: SourceClip) -> dict[CaptionKind, float]:
    """Return how often each caption of a clip is taken; the shares sum to 1, or there are none."""
    shares: dict[CaptionKind, float] = {kind: getattr(captions, kind) for kind in clip.captions}
    total = sum(shares.values())
    if not total:
        return {"given": 1.0} if "given" in shares else {}
    return {kind: share / total for kind, share in shares.items() if share}


def _usable(
    source: ExportedClips, data: CuratedData, without: list[tuple[str, str]]
) -> Iterator[tuple[int, SourceClip]]:
    """Yield clips that have all that is asked of them; add name and reason of the others to `without`."""
    videos = _videos_taken(data.videos, source.videos)
    for index, clip in enumerate(source.clips()):
        if clip.video not in videos:
            continue
        reason = _what_is_missing(clip, data)
        if reason is None:
            yield index, clip
        else:
            without.append((clip.name, reason))


def _videos_taken(videos: Videos, hashes: frozenset[str]) -> frozenset[str]:
    """Content hashes of the videos whose clips are taken."""
    if isinstance(videos, AllVideos):
        return hashes
    held_out = frozenset(sorted(hashes)[: max(1, round(videos.share * len(hashes)))])
    return held_out if isinstance(videos, HeldOutVideos) else hashes - held_out


def _what_is_missing(clip: SourceClip, data: CuratedData) -> str | None:
    if not isinstance(data.captions, NoCaptions) and not caption_shares(data.captions, clip):
        if data.captions.without == "refuse":
            raise InputError(
                f"{data.folder}: {clip.name} has no caption: caption it with videoldm curate run, or set "
                f"captions.without=leave-out"
            )
        return "no caption"
    if isinstance(data.signals, Measured) and clip.motion is None:
        return "no measured motion (signals.kind=fixed does without)"
    return None
