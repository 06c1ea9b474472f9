"""Measures against the ground truth of rendered clips, which knows nothing of optical flow."""

from dataclasses import dataclass
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from videoldm.measures.camera import classify_camera, fit_camera, video_camera
from videoldm.measures.flow import visible_flow
from videoldm.measures.temporal import estimated_warping_error, mean_motion, video_motion, warping_error
from videoldm.synthetic.render import RenderedClips, render
from videoldm.synthetic.scene import scene_from
from videoldm.synthetic.vocabulary import CameraMotion, Colour, Ground, ObjectMotion, Shape

FPS = Fraction(7)
SCENES: list[tuple[Shape, Colour, ObjectMotion, CameraMotion, Ground]] = [
    ("cube", "red", "still", "static", "checker"),
    ("sphere", "green", "left", "static", "speckle"),
    ("cylinder", "blue", "right", "static", "stripes"),
    ("cone", "orange", "up", "static", "checker"),
    ("cube", "yellow", "towards", "static", "speckle"),
    ("torus", "cyan", "still", "pan_left", "speckle"),
    ("cube", "white", "still", "pan_right", "checker"),
    ("cylinder", "purple", "still", "zoom_in", "speckle"),
    ("sphere", "red", "still", "zoom_out", "checker"),
]


@dataclass(frozen=True)
class World:
    clips: RenderedClips
    cameras: list[str]
    still: Tensor
    """True for clips in which nothing moves."""


@pytest.fixture(scope="module")
def world() -> World:
    scenes = [
        scene_from(shape=shape, colour=colour, motion=motion, camera=camera, ground=ground, seed=i)
        for i, (shape, colour, motion, camera, ground) in enumerate(SCENES)
    ]
    clips = render(scenes, num_frames=5, fps=FPS, height=64, width=64)
    still = [motion == "still" and camera == "static" for _, _, motion, camera, _ in SCENES]
    return World(clips=clips, cameras=[camera for _, _, _, camera, _ in SCENES], still=torch.tensor(still))


def test_the_scenes_move_as_they_should(world: World) -> None:
    true = mean_motion(world.clips.motion, FPS)
    assert (true[world.still] < 1e-5).all()
    assert (true[~world.still] > 0.005).all()


def test_measured_motion_is_within_a_factor_of_two_of_the_true_one(world: World) -> None:
    """That holds for nine in ten random clips, and for all of these but a cone that hardly differs from its ground."""
    true = mean_motion(world.clips.motion, FPS)[~world.still]
    measured = video_motion(world.clips.pixels, FPS)[~world.still]
    ratio = measured / true
    assert ((ratio > 0.5) & (ratio < 2.0)).sum() >= len(ratio) - 1, ratio
    assert ((ratio > 0.4) & (ratio < 2.5)).all(), ratio
    assert 0.8 < measured.mean() / true.mean() < 1.25


def test_a_still_clip_has_no_motion(world: World) -> None:
    assert video_motion(world.clips.pixels[world.still], FPS).max() < 1e-6


def test_visible_flow_lies_near_true_motion(world: World) -> None:
    valid = world.clips.motion_valid
    error = (visible_flow(world.clips.pixels) - world.clips.motion).norm(dim=2)
    length = world.clips.motion.norm(dim=2)
    assert error[valid].mean() < 0.5 * length[valid].mean()


def test_warping_along_true_motion_leaves_almost_nothing(world: World) -> None:
    pixels, motion, valid = world.clips.pixels, world.clips.motion, world.clips.motion_valid
    along = warping_error(pixels, motion, valid)
    none = warping_error(pixels, torch.zeros_like(motion), valid)
    against = warping_error(pixels, -motion, valid)
    assert along[world.still].max() < 1e-5
    # More than 0, as shadows move over the ground and a checker towards the horizon is finer than the pixels.
    assert along.max() < 0.03, along
    moved = ~world.still
    assert (along[moved] < 0.9 * none[moved]).all(), along / none
    assert along[moved].mean() < 0.45 * none[moved].mean()
    assert (against[moved] > none[moved]).all(), against / none


def test_warping_along_estimated_flow_is_not_far_off(world: World) -> None:
    moved = ~world.still
    pixels = world.clips.pixels[moved]
    none = warping_error(pixels, torch.zeros_like(world.clips.motion[moved]))
    error = estimated_warping_error(pixels)
    assert (error < none).all(), error / none
    assert error.mean() < 0.5 * none.mean(), error / none


def test_the_camera_is_recognised_from_true_motion_and_from_pixels(world: World) -> None:
    assert classify_camera(fit_camera(world.clips.motion, FPS)) == world.cameras
    assert classify_camera(video_camera(world.clips.pixels, FPS)) == world.cameras


def test_fitted_zoom_is_the_rate_of_the_focal_length(world: World) -> None:
    zooming = torch.tensor([name.startswith("zoom") for name in world.cameras])
    focal = world.clips.focal_px[zooming]
    rate = (focal[:, 1:] / focal[:, :-1]).log() * float(FPS)
    torch.testing.assert_close(fit_camera(world.clips.motion[zooming], FPS).zoom, rate, atol=2e-3, rtol=0)
    measured = video_camera(world.clips.pixels[zooming], FPS).zoom.mean(dim=1)
    torch.testing.assert_close(measured, rate.mean(dim=1), atol=0, rtol=0.35)
