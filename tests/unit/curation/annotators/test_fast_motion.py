"""Motion so fast that frames half a second apart have little in common, of textures and of a whole run."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from curated import curate, rows
from fault_videos import write

from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame, Missing
from videoldm.curation.annotators.motion import MotionAnnotator, MotionConfig

ClipOf = Callable[..., ClipFrames]
HEIGHT, WIDTH = 120, 200
ANNOTATOR = MotionAnnotator(MotionConfig())
SPEEDS = (0.05, 0.2, 0.45, 0.8, 1.4, 2.0, 3.0)


@pytest.fixture(scope="module")
def scenery() -> np.ndarray:
    """Noise of three scales, `120 2400 3`, large enough for a second of the fastest pan."""
    white = np.random.default_rng(5).normal(0, 1, (HEIGHT, 2400)).astype(np.float32)
    layers = sum(scale * cv2.GaussianBlur(white, (0, 0), scale) for scale in (2, 6, 25))
    grey = (20 + 215 * (layers - layers.min()) / np.ptp(layers)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def view(scenery: np.ndarray, x: float) -> np.ndarray:
    return np.ascontiguousarray(scenery[:, round(x) : round(x) + WIDTH])


def panned(clip_of: ClipOf, scenery: np.ndarray, speed: float, *, companion_s: float | None = 0.04) -> ClipFrames:
    """Four frames of a pan at `speed` short sides a second, and companions if they are kept."""
    clip = clip_of([view(scenery, speed * HEIGHT * i / 2) for i in range(4)], step=50, time_base=Fraction(1, 100))
    if companion_s is None:
        return clip
    soon = [view(scenery, speed * HEIGHT * (i / 2 + companion_s)) for i in range(4)]
    return replace(clip, companions=[KeptFrame(50 * i + 4, False, one) for i, one in enumerate(soon)])


def test_motion_grows_with_the_speed_up_to_three_short_sides_a_second(clip_of: ClipOf, scenery: np.ndarray) -> None:
    found = ANNOTATOR.annotate([panned(clip_of, scenery, speed) for speed in SPEEDS])
    for speed, row in zip(SPEEDS, found, strict=True):
        assert isinstance(row, dict), row
        assert row["motion"] == pytest.approx(speed, rel=0.12)
        assert row["pan_x"] == pytest.approx(speed, rel=0.12)
        assert row["residual"] < 0.15 * speed


def test_without_companions_a_large_shift_is_searched_and_what_is_lost_is_null(
    clip_of: ClipOf, scenery: np.ndarray
) -> None:
    clips = [panned(clip_of, scenery, speed, companion_s=None) for speed in (0.8, 1.4, 3.9)]
    fast, faster, lost = ANNOTATOR.annotate(clips)
    assert isinstance(fast, dict)
    assert isinstance(faster, dict)
    assert fast["pan_x"] == pytest.approx(0.8, rel=0.05)
    assert faster["motion"] == pytest.approx(1.4, rel=0.05)
    assert isinstance(lost, Missing)
    assert lost.reason.startswith("in 1.5 of 1.5 s what is seen is not found again")


def test_a_small_quick_object_is_measured_over_a_slow_ground(clip_of: ClipOf, scenery: np.ndarray) -> None:
    def shown(at_s: float) -> np.ndarray:
        frame = view(scenery, 0.04 * HEIGHT * at_s)
        x = round(10 + 1.0 * HEIGHT * at_s)
        frame[40:80, x : x + 40] = scenery[40:80, 1000:1040]
        return frame

    clip = clip_of([shown(i / 2) for i in range(3)], step=50, time_base=Fraction(1, 100))
    soon = [KeptFrame(50 * i + 4, False, shown(i / 2 + 0.04)) for i in range(3)]
    slow, quick = ANNOTATOR.annotate([clip, replace(clip, companions=soon)])
    assert isinstance(slow, dict)
    assert isinstance(quick, dict)
    area = 40 * 40 / (HEIGHT * WIDTH)
    assert quick["motion"] == pytest.approx(0.04 + area, rel=0.35)
    assert slow["motion"] < 0.06


def test_a_run_keeps_companions_of_quick_frames_only_and_ranks_clips_by_speed(
    tmp_path: Path, scenery: np.ndarray
) -> None:
    speeds = (0.0, 0.1, 0.5, 1.0, 2.5)
    for speed in speeds:
        frames = [view(scenery, speed * HEIGHT * i / 25) for i in range(51)]
        write(tmp_path / f"{speed}.mp4", frames)
    dataset = curate(tmp_path / "dataset", tmp_path)
    names = {row["source_id"]: float(Path(row["path"]).stem) for row in rows(dataset, "sources")}
    companions = dict.fromkeys(speeds, 0)
    for row in rows(dataset, "sidecars"):
        companions[names[row["source_id"]]] += row["kind"] == "companion"
    assert companions[0.0] == 0
    assert companions[1.0] == companions[2.5] == 4
    clips = {row["clip_id"]: row for row in rows(dataset, "clips")}
    motion = {names[clips[row["clip_id"]]["source_id"]]: row["motion"] for row in rows(dataset, "motion")}
    assert sorted(motion) == list(speeds)
    assert all(motion[slow] < motion[fast] for slow, fast in pairwise(speeds))
    assert motion[2.5] == pytest.approx(2.5, rel=0.1)
    assert {clip["num_frames"] for clip in clips.values()} == {51}
    assert max(clip["last_pts"] - clip["first_pts"] for clip in clips.values()) == 50 * 512
