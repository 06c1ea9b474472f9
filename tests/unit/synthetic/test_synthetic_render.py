"""Pixels and per-frame maps: deterministic, independent of the batch, and equal to hand-computed geometry."""

import colorsys
from fractions import Fraction

import pytest
import torch

from videoldm.core.errors import InputError
from videoldm.synthetic import trace
from videoldm.synthetic.render import render, render_pixels
from videoldm.synthetic.scene import WorldOptions, sample_scene, scene_from
from videoldm.synthetic.trace import FAR
from videoldm.synthetic.vocabulary import COLOURS, GROUNDS, SHAPES

SCENES = [sample_scene(0, "train", i, WorldOptions(second_object=0.4)) for i in range(6)]
SMALL = {"num_frames": 3, "height": 32, "width": 40}


@pytest.fixture(scope="module")
def clips():
    return render(SCENES, **SMALL)


def rays(clips, b, t):
    """Origin and directions (forward component 1) of the pixel centres' rays, in float64 from poses and focals."""
    h, w = clips.depth.shape[-2:]
    y, x = torch.meshgrid(torch.arange(h).double() + 0.5, torch.arange(w).double() + 0.5, indexing="ij")
    focal = clips.focal_px[b, t].double()
    local = torch.stack([(x - w / 2) / focal, (y - h / 2) / focal, torch.ones_like(x)], -1)
    pose = clips.poses[b, t].double()
    return pose[:3, 3], local @ pose[:3, :3].T


def test_shapes_and_ranges(clips):
    assert clips.pixels.shape == (6, 3, 3, 32, 40)
    assert clips.motion.shape == (6, 2, 2, 32, 40)
    assert clips.motion_valid.shape == (6, 2, 32, 40)
    assert clips.object_index.shape == clips.depth.shape == (6, 3, 32, 40)
    assert clips.tracks.shape == (6, 3, 2, 2)
    assert clips.pixels.dtype == torch.float32
    assert clips.pixels.abs().max() <= 1
    assert clips.motion.isfinite().all()
    for b, scene in enumerate(SCENES):
        assert clips.object_index[b].max() <= len(scene.objects)
        assert clips.tracks[b].isfinite().all(-1).sum(-1).eq(len(scene.objects)).all()


def test_a_clip_does_not_depend_on_its_batch(clips, monkeypatch):
    for b, scene in enumerate(SCENES):
        alone = render([scene], **SMALL)
        assert torch.equal(alone.pixels[0], clips.pixels[b])
        assert torch.equal(alone.motion[0], clips.motion[b])
        assert torch.equal(alone.motion_valid[0], clips.motion_valid[b])
    monkeypatch.setattr(trace, "SAMPLES_AT_ONCE_CPU", 1)
    assert torch.equal(render_pixels(SCENES, **SMALL), clips.pixels)
    assert torch.equal(render_pixels(SCENES[::-1], **SMALL), clips.pixels.flip(0))


def test_the_number_of_threads_changes_nothing(clips):
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    try:
        assert torch.equal(render_pixels(SCENES[:2], **SMALL), clips.pixels[:2])
    finally:
        torch.set_num_threads(threads)


def test_frames_depend_on_time_only(clips):
    later = render_pixels(SCENES[:2], first_frame=1, num_frames=2, height=32, width=40)
    assert torch.equal(later, clips.pixels[:2, 1:])
    twice = render_pixels(SCENES[:2], num_frames=5, fps=Fraction(14), height=32, width=40)
    assert torch.equal(twice[:, ::2], clips.pixels[:2])


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 64, 64), (2, 1, 1), (2, 17, 51)])
def test_any_size_works(frames, height, width):
    clips = render(SCENES[:2], num_frames=frames, height=height, width=width)
    assert clips.pixels.shape == (2, frames, 3, height, width)
    assert clips.motion.shape == (2, frames - 1, 2, height, width)


@pytest.mark.parametrize("name", ["num_frames", "height", "width", "fps", "supersampling"])
def test_sizes_below_one_are_refused(name):
    with pytest.raises(InputError, match=f"{name} is 0"):
        render(SCENES[:1], **{name: 0})


def test_poses_are_rotations(clips):
    turn = clips.poses[..., :3, :3]
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).expand_as(turn), atol=1e-6, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(turn.shape[:2]), atol=1e-6, rtol=0)


def test_spheres_and_ground_are_where_ray_formulas_put_them():
    scenes = [scene_from(shape="sphere", colour="red", motion="towards", camera="orbit_left", seed=i) for i in range(3)]
    clips = render(scenes, num_frames=3, fps=2)
    for b, scene in enumerate(scenes):
        for t in range(3):
            origin, heading = rays(clips, b, t)
            to_eye = origin - torch.tensor(scene.objects[0].centre(t / 2), dtype=torch.float64)
            a, half_b = (heading * heading).sum(-1), (heading * to_eye).sum(-1)
            root = half_b**2 - a * (to_eye @ to_eye - (0.5 * scene.objects[0].size) ** 2)
            sphere = torch.where(root > 0, (-half_b - root.clamp(min=0).sqrt()) / a, torch.inf)
            ground = torch.where(heading[..., 1] < 0, -origin[1] / heading[..., 1], torch.inf)
            expected = torch.minimum(sphere, ground)
            index = torch.where(expected.isinf(), -1, (sphere < ground).long())
            is_clear = root.abs() > 0.02  # not on the sphere's very rim
            assert torch.equal(clips.object_index[b, t][is_clear], index[is_clear])
            is_hit = is_clear & expected.isfinite() & (expected < 50)
            torch.testing.assert_close(clips.depth[b, t][is_hit].double(), expected[is_hit], rtol=2e-3, atol=0)
            assert clips.depth[b, t][index < 0].eq(FAR).all()


def test_nearer_objects_hide_farther_ones():
    scenes = [sample_scene(0, "train", i, WorldOptions(second_object=1.0)) for i in range(12)]
    clips = render(scenes, num_frames=1, height=32, width=32, supersampling=1)
    both = [b for b in range(12) if {1, 2} <= set(clips.object_index[b].unique().tolist())]
    assert len(both) > 5
    for b in both:
        swapped = render(
            [type(scenes[b])(scenes[b].objects[::-1], scenes[b].camera, scenes[b].backdrop)],
            num_frames=1,
            height=32,
            width=32,
        )
        renamed = torch.tensor([-1, 0, 2, 1])[swapped.object_index[0] + 1]
        assert torch.equal(renamed, clips.object_index[b])


@pytest.mark.parametrize("shape", SHAPES)
def test_objects_have_the_colour_their_name_says(shape):
    scenes = [scene_from(shape=shape, colour=colour, seed=i, ground=GROUNDS[i % 4]) for i, colour in enumerate(COLOURS)]
    clips = render(scenes, num_frames=1, height=48, width=48)
    hues = {name: colorsys.rgb_to_hsv(*rgb)[0] for name, rgb in COLOURS.items() if name != "white"}
    for b, colour in enumerate(COLOURS):
        seen = clips.pixels[b, 0][:, clips.object_index[b, 0] == 1].median(dim=1).values * 0.5 + 0.5
        hue, saturation, value = colorsys.rgb_to_hsv(*seen.tolist())
        if colour == "white":
            assert saturation < 0.1
            assert value > 0.5
        else:
            assert saturation > 0.6
            assert min(hues, key=lambda name: min(abs(hues[name] - hue), 1 - abs(hues[name] - hue))) == colour


def test_grounds_are_muted_and_differ():
    scenes = [scene_from(shape="cone", colour="red", ground=ground, seed=4) for ground in GROUNDS[:4]]
    clips = render(scenes, num_frames=1)
    shades = []
    for b in range(4):
        ground = clips.pixels[b, 0][:, clips.object_index[b, 0] == 0]
        assert (ground.amax(0) - ground.amin(0)).mean() < 0.35
        shades.append(ground.std().item())
    assert min(shades[1:]) > 1.2 * shades[0]


def test_supersampling_converges_to_finer_sampling():
    coarse, usual, fine = (render_pixels(SCENES, num_frames=1, height=32, width=32, supersampling=s) for s in (1, 2, 6))
    assert (usual - fine).abs().mean() < 0.6 * (coarse - fine).abs().mean()
    assert (usual - fine).abs().mean() < 0.02


def test_photo_grounds_show_the_pictures():
    scene = scene_from(shape="cube", colour="red", ground="photo", seed=2)
    with pytest.raises(InputError, match="pictures is empty"):
        render([scene])
    bright, dark = (render_pixels([scene], num_frames=1, pictures=torch.full((2, 3, 16, 24), v)) for v in (0.9, -0.9))
    lower = (..., slice(52, 64), slice(0, 64))
    assert (bright[lower] - dark[lower]).mean() > 0.5
    assert torch.equal(bright[..., :4, :], dark[..., :4, :])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_gpu_and_cpu_agree(clips):
    there = render(SCENES, **SMALL, device="cuda")
    assert (there.pixels.cpu() - clips.pixels).abs().mean() < 1e-4
    assert (there.object_index.cpu() == clips.object_index).float().mean() > 0.999
