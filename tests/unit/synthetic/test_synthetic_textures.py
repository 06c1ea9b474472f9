"""Patterns against slow twins, and shadows where they belong."""

import math

import pytest
import torch

from videoldm.synthetic.render import render, render_pixels
from videoldm.synthetic.scene import WorldOptions, scene_from
from videoldm.synthetic.textures import line_noise, smooth_noise, square_wave, tiled


def bilinear_twin(picture, u, v):
    """One look-up in the endless tiling of `picture` (`c h w`), in plain Python."""
    _, rows, columns = picture.shape
    left, top = math.floor(u), math.floor(v)
    total = torch.zeros(picture.shape[0])
    for dv in (0, 1):
        for du in (0, 1):
            weight = (u - left if du else 1 - u + left) * (v - top if dv else 1 - v + top)
            total += weight * picture[:, (top + dv) % rows, (left + du) % columns]
    return total


@pytest.mark.parametrize("size", [(8, 16), (5, 7)])
def test_look_ups_are_bilinear_in_an_endless_tiling(size):
    generator = torch.Generator().manual_seed(0)
    bank = torch.rand(3, 2, *size, generator=generator)
    u, v = (torch.rand(2, 40, generator=generator) * 60 - 30).unbind()
    picture = torch.arange(40, dtype=torch.int) % 3
    found = torch.stack(tiled(bank, picture, u, v), dim=-1)
    expected = torch.stack(
        [bilinear_twin(bank[p], a, b) for p, a, b in zip(picture, u.tolist(), v.tolist(), strict=True)]
    )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_noise_is_continuous_and_repeats_after_its_period():
    u = torch.linspace(-30, 40, 7001)
    line, plane = line_noise(u, 24), smooth_noise(u, 0.37 * u)
    for noise in (line, plane):
        assert (noise[1:] - noise[:-1]).abs().max() < 0.05
        assert noise.std() > 0.25
        assert noise.abs().max() <= 1
    torch.testing.assert_close(line_noise(u + 24, 24), line, atol=1e-4, rtol=0)


@pytest.mark.parametrize("footprint", [0.05, 0.2])
def test_square_waves_are_averages_of_sharp_ones_over_two_samples(footprint):
    u = torch.linspace(0, 2, 41)
    inside = (torch.arange(400) + 0.5) / 400 - 0.5
    sharp = torch.where((u[:, None] + 2 * footprint * inside) % 1 < 0.25, 1.0, 0.0)
    sharp += torch.where((u[:, None] + 2 * footprint * inside) % 1 >= 0.75, 1.0, 0.0)
    expected = sharp.mean(dim=1) * 2 - 1
    assert (square_wave(u, torch.tensor(footprint)) - expected).abs().max() < 0.01
    assert square_wave(u, torch.tensor(2.0)).abs().max() == 0


def test_shadows_lie_at_the_foot_of_the_object_also_under_a_moving_camera():
    makers = [WorldOptions(second_object=0, contact_shadow=is_on) for is_on in (True, False)]
    for camera in ("static", "orbit_left", "orbit_right"):
        named = {"shape": "sphere", "colour": "red", "camera": camera, "ground": "plain", "seed": 6}
        with_shadow, without = (scene_from(**named, options=options) for options in makers)
        clips = render([with_shadow], num_frames=2, fps=1)
        darker = render_pixels([without], num_frames=2, fps=1) - clips.pixels
        for t in range(2):
            shadow = darker[0, t].mean(0).clamp(min=0) * (clips.object_index[0, t] == 0)
            assert shadow.max() > 0.05
            y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(64) + 0.5, indexing="ij")
            centre = torch.stack([(shadow * x).sum(), (shadow * y).sum()]) / shadow.sum()
            mask = clips.object_index[0, t] == 1
            foot = torch.tensor([clips.tracks[0, t, 0, 0].item(), y[mask].max().item()])
            assert (centre - foot).norm() < 12
            assert not darker[0, t][:, clips.object_index[0, t] == -1].any()
