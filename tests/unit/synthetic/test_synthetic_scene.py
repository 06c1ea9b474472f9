"""Drawing scenes: determinism, disjoint splits, the promised frequencies, motions that stay in the frame."""

import math
import subprocess
import sys
from collections import Counter

import pytest
from pydantic import ValidationError

from videoldm.core.errors import InputError
from videoldm.synthetic.camera import pose
from videoldm.synthetic.elements import NOMINAL_S
from videoldm.synthetic.scene import WorldOptions, sample_scene, scene_from
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS, COLOURS, OBJECT_MOTIONS, SHAPES, SPLITS


def image_point(scene, time_s):
    """Where the first object's centre is seen, as shares of the frame's height from its middle (right, down)."""
    eye = pose(scene.camera, time_s)
    offset = [c - p for c, p in zip(scene.objects[0].centre(time_s), eye.position, strict=True)]
    right, down, depth = (
        sum(a * b for a, b in zip(offset, axis, strict=True)) for axis in (eye.right, eye.down, eye.forward)
    )
    return eye.focal * right / depth, eye.focal * down / depth, eye.focal * scene.objects[0].size / depth


def test_a_scene_depends_on_seed_split_and_index_only():
    assert sample_scene(3, "train", 8) == sample_scene(3, "train", 8)
    others = [sample_scene(4, "train", 8), sample_scene(3, "test", 8), sample_scene(3, "train", 9)]
    assert all(other != sample_scene(3, "train", 8) for other in others)


def test_splits_share_no_scene():
    drawn = {split: {repr(sample_scene(0, split, i).objects) for i in range(200)} for split in SPLITS}
    assert all(len(scenes) == 200 for scenes in drawn.values())
    assert len(set.union(*drawn.values())) == 600


def test_frequencies_are_the_promised_ones():
    scenes = [sample_scene(1, "train", i) for i in range(2000)]
    static = [s for s in scenes if s.camera.motion == "static"]
    assert len(static) / 2000 == pytest.approx(0.65, abs=0.04)
    assert sum(s.objects[0].motion != "still" for s in static) / len(static) == pytest.approx(0.75, abs=0.04)
    assert sum(len(s.objects) == 2 for s in scenes) / 2000 == pytest.approx(0.15, abs=0.04)
    for names, values in (
        (SHAPES, [s.objects[0].shape for s in scenes]),
        (COLOURS, [s.objects[0].colour for s in scenes]),
        (CAMERA_MOTIONS[1:], [s.camera.motion for s in scenes if s.camera.motion != "static"]),
        (OBJECT_MOTIONS[1:], [s.objects[0].motion for s in static if s.objects[0].motion != "still"]),
    ):
        counts = Counter(values)
        assert set(counts) == set(names)
        assert max(counts.values()) < 1.6 * min(counts.values())


def test_a_second_object_is_still_and_different_and_apart():
    pairs = [s.objects for s in (sample_scene(1, "train", i) for i in range(400)) if len(s.objects) == 2]
    for first, second in pairs:
        assert second.motion == "still"
        assert not any(second.velocity)
        assert first.shape != second.shape
        assert first.colour != second.colour
        gaps = [math.dist(first.centre(t / 10), second.centre(t / 10)) for t in range(21)]
        assert min(gaps) > first.bounding_radius + second.bounding_radius


@pytest.mark.parametrize("motion", OBJECT_MOTIONS)
def test_object_motions_cross_a_good_part_of_the_frame_and_stay_inside(motion):
    for seed in range(40):
        scene = scene_from(shape=SHAPES[seed % 5], colour="red", motion=motion, seed=seed)
        (x0, y0, size0), (x1, y1, size1) = image_point(scene, 0), image_point(scene, NOMINAL_S)
        assert max(abs(x0), abs(x1), abs(y0), abs(y1)) < 0.45
        assert 0.28 < size0 < 0.65
        dx, dy, growth = x1 - x0, y1 - y0, size1 / size0
        assert {
            "still": abs(dx) + abs(dy) + abs(growth - 1) < 1e-9,
            "left": -0.55 < dx < -0.28 and abs(growth - 1) < 0.05,
            "right": 0.28 < dx < 0.55 and abs(growth - 1) < 0.05,
            "towards": 1.3 < growth < 1.9,
            "away": 0.55 < growth < 0.78,
            "up": -0.42 < dy < -0.24,
        }[motion]


@pytest.mark.parametrize("camera", CAMERA_MOTIONS)
def test_camera_motions_do_what_their_name_says(camera):
    for seed in range(20):
        scene = scene_from(shape="cube", colour="red", camera=camera, seed=seed)
        start, end = pose(scene.camera, 0), pose(scene.camera, NOMINAL_S)
        dx = image_point(scene, NOMINAL_S)[0] - image_point(scene, 0)[0]
        turned = math.degrees(math.asin(end.forward[0]) - math.asin(start.forward[0]))
        moved, zoom = end.position[0] - start.position[0], end.focal / start.focal
        assert {
            "static": start == end,
            "pan_left": 0.25 < dx < 0.45 and turned < -13 and moved == 0,  # what is seen goes the other way
            "pan_right": -0.45 < dx < -0.25 and turned > 13 and moved == 0,
            "zoom_in": 1.4 <= zoom <= 1.6,
            "zoom_out": 1 / 1.6 <= zoom <= 1 / 1.4,
            "orbit_left": moved < -2 and 35 < turned < 51 and abs(dx) < 0.2,
            "orbit_right": moved > 2 and -51 < turned < -35 and abs(dx) < 0.2,
        }[camera]
        assert scene.camera.motion == camera


def test_bodies_rest_on_or_float_above_the_ground():
    for index in range(200):
        for body in sample_scene(2, "train", index).objects:
            turn = body.rotation(1.3)
            assert body.position[1] > 0.4 * body.size
            if body.spin_axis != (0.0, 1.0, 0.0):
                assert body.position[1] > body.bounding_radius
            assert sum(turn[0][k] * turn[1][k] for k in range(3)) == pytest.approx(0, abs=1e-12)


def test_speed_zero_stops_everything():
    scene = sample_scene(0, "train", 5, WorldOptions(moving_object=1, static_camera=0, spinning_object=1))
    assert scene.is_moving
    assert not scene.with_speed(0).is_moving
    assert scene.with_speed(2).with_speed(0.5) == scene


def test_wrong_names_say_what_would_be_right():
    with pytest.raises(InputError, match="split is 'tset', it should be one of train, validation, test"):
        sample_scene(0, "tset", 0)
    with pytest.raises(InputError, match="colour is 'pink', it should be one of red, orange"):
        scene_from(shape="cube", colour="pink")
    with pytest.raises(ValidationError, match="a moving camera"):
        WorldOptions(grounds={"plain": 1.0})
    with pytest.raises(ValidationError, match="static_camera"):
        WorldOptions(cameras={"static": 1.0})


def test_scenes_and_captions_need_no_torch():
    modules = "scene, captions, config, timeline"
    code = f"import sys; from videoldm.synthetic import {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
