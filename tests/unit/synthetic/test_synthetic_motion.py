"""Motion maps, validity and tracks, checked by warping pixels and by reprojecting points in float64."""

import pytest
import torch
import torch.nn.functional as F

from videoldm.synthetic.render import render
from videoldm.synthetic.scene import WorldOptions, sample_scene, scene_from
from videoldm.synthetic.vocabulary import CAMERA_MOTIONS, OBJECT_MOTIONS, SHAPES

CASES = [
    *((motion, "static") for motion in OBJECT_MOTIONS[1:]),
    *(("still", camera) for camera in CAMERA_MOTIONS[1:]),
    ("up", "orbit_left"),
    ("towards", "pan_right"),
]


def warped_back(clips):
    """Frame t + 1 looked up where each pixel of frame t went."""
    b, t, c, h, w = clips.pixels.shape
    motion = clips.motion.flatten(0, 1)
    y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
    where = torch.stack([(x + motion[:, 0]) / w * 2 - 1, (y + motion[:, 1]) / h * 2 - 1], -1)
    following = clips.pixels[:, 1:].flatten(0, 1)
    looked_up = F.grid_sample(following, where, padding_mode="border", align_corners=False)
    return looked_up.reshape(b, t - 1, c, h, w)


def without_rim(mask):
    """`mask` less the pixels that touch others, as a pixel at the rim mixes two things that move apart."""
    return F.max_pool2d((~mask).float().flatten(0, 1), 3, 1, 1).eq(0).reshape(mask.shape)


@pytest.mark.parametrize(("motion", "camera"), CASES)
def test_warping_the_next_frame_back_gives_this_frame(motion, camera):
    scenes = [
        scene_from(shape=shape, colour="green", motion=motion, camera=camera, ground="speckle", seed=i)
        for i, shape in enumerate(SHAPES[::2])
    ]
    clips = render(scenes, num_frames=2, fps=5, height=128, width=128)
    before = clips.pixels[:, :-1]
    error = (warped_back(clips) - before).abs().mean(dim=2)
    unmoved = (clips.pixels[:, 1:] - before).abs().mean(dim=2)
    for index in (0, 1):
        part = without_rim(clips.object_index[:, :-1] == index)
        is_valid = clips.motion_valid & part
        moves = clips.motion.norm(dim=2)[is_valid].mean() > 0.5
        assert error[is_valid].median() < 0.012
        assert not moves or error[is_valid].mean() < 0.5 * unmoved[is_valid].mean()
        assert is_valid.sum() > 0.8 * part.sum()


def test_ground_and_sky_motion_follows_from_the_cameras_alone():
    scenes = [scene_from(shape="cube", colour="red", camera=camera, seed=3) for camera in CAMERA_MOTIONS]
    clips = render(scenes, num_frames=3, height=24, width=32)
    y, x = torch.meshgrid(torch.arange(24).double() + 0.5, torch.arange(32).double() + 0.5, indexing="ij")
    for b in range(len(scenes)):
        for t in range(2):
            pose, after = clips.poses[b, t].double(), clips.poses[b, t + 1].double()
            focal, focal_after = clips.focal_px[b, t].double(), clips.focal_px[b, t + 1].double()
            ray = torch.stack([(x - 16) / focal, (y - 12) / focal, torch.ones_like(x)], -1) @ pose[:3, :3].T
            is_sky = clips.object_index[b, t] == -1
            point = pose[:3, 3] - ray * (pose[1, 3] / ray[..., 1:2])
            offset = torch.where(is_sky[..., None], ray, point - after[:3, 3]) @ after[:3, :3]
            there = offset[..., :2] / offset[..., 2:] * focal_after + torch.tensor([16.0, 12.0])
            expected = (there - torch.stack([x, y], -1)).permute(2, 0, 1)
            index = clips.object_index[b, t].expand(2, -1, -1)
            static = index <= 0
            torch.testing.assert_close(clips.motion[b, t][static].double(), expected[static], atol=2e-3, rtol=1e-3)


def test_points_that_get_hidden_or_leave_are_not_valid():
    scene = scene_from(shape="sphere", colour="red", motion="right", seed=1)
    clips = render([scene], num_frames=2, fps=2)
    here, there = clips.object_index[0]
    covered = (here == 0) & (there == 1)  # the camera is static: ground that the sphere moves over
    assert covered.sum() > 20
    assert not clips.motion_valid[0, 0][covered].any()
    assert clips.motion_valid[0, 0][(here <= 0) & (there <= 0)].all()
    pan = render([scene_from(shape="cube", colour="red", camera="pan_right", seed=1)], num_frames=2, fps=2)
    x = torch.arange(64) + 0.5 + pan.motion[0, 0, 0]
    assert (x < -0.1).any()
    assert not pan.motion_valid[0, 0][(x < 0) | (x > 64)].any()


def test_a_spinning_cube_hides_its_own_sides():
    options = WorldOptions(second_object=0, spinning_object=1, tilted_spin=0)
    clips = render([scene_from(shape="cube", colour="red", seed=2, options=options)], num_frames=2, fps=1)
    on_cube = clips.object_index[0, 0] == 1
    share = clips.motion_valid[0, 0][on_cube].float().mean()
    assert 0.3 < share < 0.98


def test_static_scenes_do_not_move():
    clips = render([scene_from(shape="torus", colour="blue")], num_frames=3, height=32, width=32)
    assert clips.motion.abs().max() < 1e-3
    assert clips.motion_valid.all()
    assert torch.equal(clips.pixels[:, 0], clips.pixels[:, 2])


def test_tracks_are_the_middles_of_the_objects():
    scenes = [
        scene_from(shape=shape, colour="red", motion=motion, camera=camera, seed=i)
        for i, (shape, (motion, camera)) in enumerate(zip(["sphere", "cube", "torus"] * 5, CASES, strict=False))
    ]
    clips = render(scenes, num_frames=4, fps=3, height=64, width=96)
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(96) + 0.5, indexing="ij")
    num_checked = 0
    for b in range(len(scenes)):
        for t in range(4):
            mask = clips.object_index[b, t] == 1
            if mask[0].any() or mask[-1].any() or mask[:, 0].any() or mask[:, -1].any():
                continue
            centroid = torch.stack([x[mask].mean(), y[mask].mean()])
            assert (centroid - clips.tracks[b, t, 0]).norm() < 2.0
            num_checked += 1
    assert num_checked > 30


def test_motion_inside_a_sphere_agrees_with_its_track():
    options = WorldOptions(second_object=0, spinning_object=0, moving_object=1, static_camera=1)
    scenes = [sample_scene(0, "validation", i, options) for i in range(100)]
    scenes = [s for s in scenes if s.objects[0].shape == "sphere" and s.objects[0].motion in ("left", "right", "up")]
    clips = render(scenes, num_frames=3, supersampling=1)
    assert len(scenes) > 3
    for b in range(len(scenes)):
        for t in range(2):
            mean = clips.motion[b, t][:, clips.object_index[b, t] == 1].mean(dim=1)
            track = clips.tracks[b, t + 1, 0] - clips.tracks[b, t, 0]
            assert (mean - track).norm() < 0.25 * track.norm() + 0.05
