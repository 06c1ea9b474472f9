"""Which buckets a clip is in, and why it is in none."""

from __future__ import annotations

from fractions import Fraction

from videoldm.dataset.config import Bucket
from videoldm.dataset.source import SourceClip, assign


def clip(**changes: object) -> SourceClip:
    known = {
        "name": "one",
        "video": "one",
        "content": "one",
        "width": 1920,
        "height": 1080,
        "duration_s": Fraction(4),
        "frame_rate": Fraction(24000, 1001),
        "captions": {},
        "motion": 0.1,
    }
    return SourceClip(**(known | changes))  # pyright: ignore[reportArgumentType]


def bucket(height: int, width: int, num_frames: int = 14, fps: int = 6) -> Bucket:
    return Bucket(height=height, width=width, num_frames=num_frames, fps=Fraction(fps), batch_size=2)


WIDE, WIDE_SMALL, TALL, SQUARE = bucket(576, 1024), bucket(320, 576), bucket(1024, 576), bucket(512, 512)
ALL = (WIDE, WIDE_SMALL, TALL, SQUARE)


def placed(one: SourceClip, *buckets: Bucket) -> tuple[list[int], list[str]]:
    assignment = assign([(7, one)], buckets)
    assert all(numbers in ([], [7]) for numbers in assignment.clips)
    return [number for number, inside in enumerate(assignment.clips) if inside], list(assignment.left_out)


def test_nearest_aspect_at_each_of_its_sizes() -> None:
    assert placed(clip(), *ALL) == ([0, 1], [])
    assert placed(clip(width=1080, height=1920), *ALL) == ([2], [])
    assert placed(clip(width=1200, height=1080), *ALL) == ([3], [])


def test_frames_are_never_enlarged() -> None:
    assert placed(clip(width=640, height=360), *ALL) == ([1], [])
    assert placed(clip(width=320, height=180), *ALL) == ([], ["smaller than 1024x576"])


def test_clips_are_longer_than_the_time_between_first_and_last_frame() -> None:
    """14 frames at 6 a second lie 13/6 s apart; the last one must be shown in the clip."""
    assert placed(clip(duration_s=Fraction(13, 6)), WIDE)[0] == []
    assert placed(clip(duration_s=Fraction(13, 6) + Fraction(1, 1000)), WIDE)[0] == [0]
    assert "shorter than 2.17 s" in placed(clip(duration_s=Fraction(2)), WIDE)[1][0]


def test_no_frame_is_taken_twice_for_want_of_others() -> None:
    fast = bucket(576, 1024, fps=24)
    assert placed(clip(), fast)[0] == [0]
    assert placed(clip(frame_rate=Fraction(15)), fast) == ([], ["fewer frames a second than 24"])
    assert placed(clip(frame_rate=Fraction(15)), bucket(576, 1024, num_frames=1, fps=24))[0] == [0]
    assert placed(clip(frame_rate=None), fast)[0] == [0]
