"""The truth by which `benchmarks/curated_against_uncurated.py` counts faulty clips."""

from fractions import Fraction

import pytest
from mixed_videos import MOVING, faults

from videoldm.synthetic.overlay import TextBox
from videoldm.synthetic.scene import sample_scene
from videoldm.synthetic.timeline import FrameSpan, LongVideoRecord, Shot, ShotTransition

SCENE = sample_scene(0, "train", 0, MOVING)
TEXT = TextBox("a", ((0.0, 0.0),) * 4, 4, 6, size_px=8, colour=(1.0, 1.0, 1.0), has_plate=False, angle_deg=0.0)
# A shot under text, a still one after a cut at 10, and after a dissolve from 18 to 20 one that moves.
RECORD = LongVideoRecord(
    num_frames=30,
    fps=Fraction(14),
    height=64,
    width=64,
    shots=(
        Shot(FrameSpan(0, 9), SCENE, False),
        Shot(FrameSpan(10, 20), SCENE, True),
        Shot(FrameSpan(18, 29), SCENE, False),
    ),
    transitions=(ShotTransition("cut", FrameSpan(10, 10), 10), ShotTransition("dissolve", FrameSpan(18, 20), 19)),
    inner_flashes=(),
    texts=(TEXT,),
    static_spans=(FrameSpan(10, 17),),
)


@pytest.mark.parametrize(
    ("first", "last", "expected"),
    [
        (0, 3, set()),
        (0, 4, {"text"}),
        (6, 9, {"text"}),
        (7, 9, set()),
        (7, 10, {"cut"}),
        (10, 17, {"still"}),
        (10, 18, {"cut"}),
        (20, 29, {"cut"}),
        (21, 29, set()),
        (5, 10, {"text", "cut"}),
    ],
)
def test_faults_are_those_of_the_frames_that_are_seen(first: int, last: int, expected: set[str]) -> None:
    assert faults(RECORD, first, last) == expected
