"""The world of moving cameras: nothing else moves, ways are as often, and LoRAs see the clips of their base."""

from collections import Counter

import pytest

from videoldm.recipes.camera_lora import (
    CAMERAS,
    CLIPS,
    EXPORT,
    MOVING,
    WORLD,
    camera_horizontal,
    camera_static,
    camera_zooming,
    mini_moving_camera,
)
from videoldm.recipes.scale import MINI
from videoldm.synthetic.scene import sample_scene
from videoldm.training.data.config import Fixed
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.lora.config import LoraStage


def test_every_camera_is_as_often_and_nothing_else_moves() -> None:
    scenes = [sample_scene(0, "train", index, WORLD) for index in range(500)]
    found = Counter(scene.camera.motion for scene in scenes)
    assert found == {motion: pytest.approx(100, abs=30) for motion in ("static", *MOVING)}
    assert all(body.motion == "still" and not body.spin_rate for scene in scenes for body in scene.objects)


def test_loras_choose_from_the_clips_of_their_base_and_are_told_the_same() -> None:
    base = mini_moving_camera().stage
    assert isinstance(base, DiffusionStage)
    assert CLIPS.signals == Fixed(fps=base.model.signals.fps, motion_bucket=int(base.model.signals.motion_bucket))
    assert CLIPS.num_frames > base.model.num_frames
    recipes = {"horizontal": camera_horizontal(MINI), "zooming": camera_zooming(MINI), "static": camera_static(MINI)}
    for name, recipe in recipes.items():
        stage = recipe.stage
        assert isinstance(stage, LoraStage)
        assert stage.base == EXPORT
        assert stage.data == base.data.model_copy(update={"cameras": CAMERAS[name]})
        assert stage.validation == base.validation.model_copy(update={"cameras": CAMERAS[name]})
