"""Spans of clips: long shots are divided by time, and each clip has a kept frame or a reason why it is none."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from curated import curate, rows
from fault_videos import with_bad_bytes
from odd_videos import encode, shot

from videoldm.curation.config import ClipConfig, CurationConfig, SidecarConfig
from videoldm.curation.cuts.timeline import SafeSpan
from videoldm.curation.cuts.transition import Transition
from videoldm.curation.stages.clips import divide, outside_damage
from videoldm.curation.stages.keep import Keeper
from videoldm.curation.status import summarise
from videoldm.dataset.tables import GREY_KINDS
from videoldm.video.display import orientation
from videoldm.video.look import Look

LOOK = Look(
    width=16,
    height=16,
    turn=orientation(None),
    pixel_aspect=Fraction(1),
    pixel_format="yuv420p",
    primaries=None,
    transfer=None,
)
MILLISECOND = Fraction(1, 1000)


def test_long_shots_are_divided_by_time() -> None:
    # Half a minute at 60 frames a second, then a minute and a half at 5.
    pts = np.array([*np.arange(1800) * 50 // 3, *(30_000 + np.arange(450) * 200)])
    parts = divide(SafeSpan(0, 120_000, len(pts)), pts, MILLISECOND, ClipConfig(max_s=30))
    assert parts == [
        SafeSpan(0, 30_000, 1800),
        SafeSpan(30_000, 60_000, 150),
        SafeSpan(60_000, 90_000, 150),
        SafeSpan(90_000, 120_000, 150),
    ]


@pytest.mark.parametrize(("duration", "starts"), [(1, [0]), (60, [0]), (62, [0, 31]), (121, [0, 40, 81])])
def test_parts_begin_with_the_frames_nearest_to_equal_times(duration: int, starts: list[int]) -> None:
    parts = divide(SafeSpan(0, duration, duration), np.arange(duration), Fraction(1), ClipConfig(max_s=60))
    assert [part.start_pts for part in parts] == starts
    assert sum(part.num_frames for part in parts) == duration


def test_transitions_end_where_damage_begins() -> None:
    damage = [Transition("damage", 20, 24, 1.0), Transition("damage", 50, 52, 1.0)]
    cut, at_damage = Transition("cut", 10, 10, 0.9), Transition("cut", 24, 24, 0.9)
    dissolve, inside = Transition("dissolve", 15, 60, 0.9), Transition("flash", 21, 23, 0.9)
    assert outside_damage([cut, at_damage, inside, dissolve], damage) == [
        cut,
        Transition("dissolve", 15, 20, 0.9),
        Transition("dissolve", 24, 50, 0.9),
        Transition("dissolve", 52, 60, 0.9),
    ]


def test_no_clip_of_a_damaged_video_crosses_a_cut_or_another_clip(tmp_path: Path) -> None:
    path = tmp_path / "raw" / "damaged.mp4"
    path.parent.mkdir()
    encode(path, [*shot(1, 30), *shot(2, 30), *shot(3, 60), *shot(4, 30)], options={"g": "15", "crf": "10"})
    with_bad_bytes(path, path, place=0.6)
    dataset = curate(tmp_path / "dataset", path.parent)
    [source] = rows(dataset, "sources")
    assert source["state"] == "damaged"
    clips = rows(dataset, "clips")
    dividing = [row for row in rows(dataset, "transitions") if row["kind"] in ("cut", "damage")]
    assert {row["kind"] for row in dividing} == {"cut", "damage"}
    for clip in clips:
        assert not any(clip["start_pts"] < row["start_pts"] < clip["end_pts"] for row in dividing)
    assert sum(clip["num_frames"] for clip in clips) <= source["num_frames"]


def test_a_frame_shown_for_long_is_not_divided() -> None:
    pts = np.array([0, 1, 2, 90])
    parts = divide(SafeSpan(0, 200, 4), pts, Fraction(1), ClipConfig(max_s=40))
    assert parts == [SafeSpan(0, 2, 2), SafeSpan(2, 90, 1), SafeSpan(90, 200, 1)]


def kept_times(ticks: Sequence[int]) -> list[int]:
    """The times, in milliseconds, at which frames are kept in colour if none of these may begin a shot."""
    keeper = Keeper("source", SidecarConfig(), MILLISECOND)
    picture = np.zeros((16, 16, 3), np.uint8)
    for pts in ticks:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = pts, MILLISECOND
        keeper.add(frame, LOOK, may_be_cut=False, change=0)
    keeper.finish()
    return [row["pts"] for row in keeper.frames if row["kind"] not in GREY_KINDS]


def test_the_frame_shown_at_each_second_is_kept() -> None:
    assert kept_times(range(0, 2500, 100)) == [0, 1000, 2000, 2400]
    assert kept_times([0, 300, 600, 900, 1200, 1500, 1800, 2100, 2400]) == [0, 900, 1800, 2400]
    assert kept_times([0, 100, 200, 2700, 2800, 3000, 3100, 7500]) == [0, 200, 3000, 3100, 7500]
    assert kept_times([0, 500, 2000, 2100]) == [0, 500, 2000, 2100]


def test_spans_of_a_second_have_a_kept_frame() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        ticks = np.cumsum(random.choice([20, 40, 300, 1700], 60, p=[0.5, 0.3, 0.15, 0.05])).tolist()
        kept = np.array(kept_times(ticks))
        for first, start in enumerate(ticks):
            end = next((end for end in ticks[first:] if end - start >= 1000), None)
            assert end is None or ((kept >= start) & (kept < end)).any(), (start, end)


def test_a_short_span_without_a_kept_frame_says_so(tmp_path: Path) -> None:
    pictures = [picture for seed, length in enumerate((12, 5, 5, 5, 14)) for picture in shot(seed, length)]
    path = encode(str(tmp_path / "shots.mp4"), pictures, rate=10)
    config = CurationConfig(
        sidecar=SidecarConfig(max_edges_per_s=0.1), clips=ClipConfig(min_s=0.4), annotations=(), comparisons=()
    )
    dataset = curate(tmp_path / "dataset", Path(path), config=config)
    unused = [(row["kind"], row["num_frames"]) for row in rows(dataset, "transitions") if row["num_frames"]]
    assert unused == [("no_frame_kept", 5)]
    assert sorted(clip["num_frames"] for clip in rows(dataset, "clips")) == [5, 5, 12, 14]
    assert "36 in clips, 5 in spans without a kept frame" in summarise(dataset).as_text()
