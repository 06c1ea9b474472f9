"""Motion and text areas on a few of the benchmark's clips, which went through H.264 and JPEG, and on real frames."""

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from annotation_clips import TextSample, motion_sample, text_clip, text_sample
from annotations import auc

from videoldm.curation.annotators.motion import MotionAnnotator, MotionConfig
from videoldm.curation.annotators.text_area import TextAreaAnnotator, TextAreaConfig
from videoldm.video.read import frames_at

pytestmark = pytest.mark.slow


def test_moving_clips_move_more_than_standing_ones() -> None:
    samples = [motion_sample(3, index, seconds=1) for index in range(6)]
    rows = MotionAnnotator(MotionConfig()).annotate([sample.clip for sample in samples])
    motion = np.array([row["motion"] for row in rows])
    is_moving = np.array([sample.is_moving for sample in samples])
    assert (~is_moving).sum() == 2
    assert motion[is_moving].min() > 2 * motion[~is_moving].max()
    # Bars around a dark picture may be missed, but none are invented.
    assert all(row["letterbox"] == 0 for row, sample in zip(rows, samples, strict=True) if sample.bars == 0)


@pytest.fixture(scope="module")
def annotator() -> TextAreaAnnotator:
    pytest.importorskip("rapidocr")
    return TextAreaAnnotator(TextAreaConfig())


def test_areas_of_text_are_those_of_the_lines(annotator: TextAreaAnnotator) -> None:
    samples = [text_sample(3, index, []) for index in range(12)]
    rows = annotator.annotate([text_clip(sample) for sample in samples])
    area, truth = np.array([row["text_area"] for row in rows]), np.array([sample.area for sample in samples])
    with_text, without = area[truth > 0], area[truth == 0]
    assert auc(with_text, without) > 0.9
    assert np.median(np.abs(with_text - truth[truth > 0]) / truth[truth > 0]) < 0.25


def test_an_eye_is_no_letter(annotator: TextAreaAnnotator, videos_folder: Path) -> None:
    frames = frames_at(videos_folder / "cockatoo.mp4", [Fraction(k) for k in (1, 5, 7)])
    small = [cv2.resize(frame.pixels, (640, 360), interpolation=cv2.INTER_AREA) for frame in frames]
    rows = annotator.annotate([text_clip(TextSample(pixels, 0)) for pixels in small])
    assert [row["text_area"] for row in rows] == [0, 0, 0]
