"""The camera fit on exact flow maps, with objects and noise in them, and on moved textures."""

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.camera import CameraFit, camera_flow, classify_camera, fit_camera, video_camera

FPS = Fraction(10)


def _flow(*, dx: float = 0.0, dy: float = 0.0, scale: float = 1.0, turn: float = 0.0) -> Tensor:
    """Flow of content that is scaled, turned clockwise (as seen) by `turn` and shifted, `1 2 60 80`."""
    y, x = torch.meshgrid(torch.arange(60) - 29.5, torch.arange(80) - 39.5, indexing="ij")
    to_x = scale * (math.cos(turn) * x - math.sin(turn) * y) + dx
    to_y = scale * (math.sin(turn) * x + math.cos(turn) * y) + dy
    return torch.stack([to_x - x, to_y - y])[None]


def _check(motion: CameraFit, *, pan_x: float, pan_y: float, zoom: float, rotation: float, tolerance: float) -> None:
    expected = {"pan_x": pan_x, "pan_y": pan_y, "zoom": zoom, "rotation": rotation}
    for name, value in expected.items():
        assert getattr(motion, name).mean().item() == pytest.approx(value, abs=tolerance), name


def test_an_exact_flow_gives_its_parameters_per_second() -> None:
    motion = fit_camera(_flow(dx=-3.0, dy=1.5, scale=1.02, turn=0.01), FPS)
    _check(motion, pan_x=0.5, pan_y=-0.25, zoom=math.log(1.02) * 10, rotation=-0.1, tolerance=1e-5)
    assert motion.residual.item() == pytest.approx(0.0, abs=1e-5)
    assert motion.inliers.item() == 1.0


def test_the_flow_of_a_fitted_camera_is_the_flow_it_was_fitted_to() -> None:
    flow = _flow(dx=-3.0, dy=1.5, scale=1.02, turn=0.01)
    torch.testing.assert_close(camera_flow(fit_camera(flow, FPS), FPS, height=60, width=80), flow, atol=1e-4, rtol=0)


def test_an_object_over_a_third_of_the_frame_and_noise_do_not_matter() -> None:
    flow = _flow(dx=-3.0, scale=1.02)
    flow += 0.1 * torch.randn(flow.shape, generator=torch.Generator().manual_seed(1))
    flow[..., 20:60, 10:50] += torch.tensor([8.0, -5.0]).reshape(2, 1, 1)
    motion = fit_camera(flow, FPS)
    _check(motion, pan_x=0.5, pan_y=0.0, zoom=math.log(1.02) * 10, rotation=0.0, tolerance=0.01)
    assert motion.inliers.item() == pytest.approx(2 / 3, abs=0.03)


def test_weights_decide_whom_to_trust() -> None:
    flow = _flow(dx=-3.0)
    flow[..., :60] = 0.0
    weight = torch.zeros(1, 60, 80)
    weight[..., 60:] = 1.0
    assert fit_camera(flow, FPS).pan_x.item() == pytest.approx(0.0, abs=1e-6)
    assert fit_camera(flow, FPS, weight=weight).pan_x.item() == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(InputError, match="weight is zero"):
        fit_camera(flow, FPS, weight=torch.zeros(1, 60, 80))


def test_weight_on_a_single_pixel_leaves_no_error_but_a_pan() -> None:
    weight = torch.zeros(1, 60, 80)
    weight[..., 31, 41] = 1.0
    motion = fit_camera(_flow(dx=-3.0, dy=1.5), FPS, weight=weight)
    assert motion.residual.item() == pytest.approx(0.0, abs=1e-4)
    assert all(torch.isfinite(values).all() for values in vars(motion).values())


def test_a_batch_gives_the_fits_of_its_clips() -> None:
    clips = torch.stack([torch.cat([_flow(dx=1.0), _flow(dy=2.0)]), torch.cat([_flow(scale=1.1), _flow(turn=0.1)])])
    together = fit_camera(clips, FPS)
    assert together.pan_x.shape == (2, 2)
    for i, clip in enumerate(clips):
        torch.testing.assert_close(fit_camera(clip, FPS).zoom, together.zoom[i])


@pytest.mark.parametrize(
    ("source", "name"),
    [
        (lambda i, x, y: (x, y), "static"),
        (lambda i, x, y: (x + 2 * i, y), "pan_right"),
        (lambda i, x, y: (x - 2 * i, y), "pan_left"),
        (lambda i, x, y: (x / 1.03**i, y / 1.03**i), "zoom_in"),
        (lambda i, x, y: (x * 1.03**i, y * 1.03**i), "zoom_out"),
        (lambda i, x, y: (x, y + 2 * i), "other"),
        (
            lambda i, x, y: (
                math.cos(0.05 * i) * x - math.sin(0.05 * i) * y,
                math.sin(0.05 * i) * x + math.cos(0.05 * i) * y,
            ),
            "other",
        ),
    ],
)
def test_the_class_of_a_moved_texture(moving_texture: Callable[..., Tensor], source: object, name: str) -> None:
    motion = video_camera(moving_texture(source), FPS)
    assert classify_camera(motion) == [name]


def test_values_measured_on_moved_textures(moving_texture: Callable[..., Tensor]) -> None:
    panned = video_camera(moving_texture(lambda i, x, y: (x + 2 * i, y - i)), FPS)
    _check(panned, pan_x=20 / 64, pan_y=-10 / 64, zoom=0.0, rotation=0.0, tolerance=0.01)
    zoomed = video_camera(moving_texture(lambda i, x, y: (x / 1.03**i, y / 1.03**i)), FPS)
    _check(zoomed, pan_x=0.0, pan_y=0.0, zoom=10 * math.log(1.03), rotation=0.0, tolerance=0.02)
    # The source turns clockwise by 0.05 a frame, so the picture turns counter-clockwise: a clockwise roll.
    turned = moving_texture(
        lambda i, x, y: (
            math.cos(0.05 * i) * x - math.sin(0.05 * i) * y,
            math.sin(0.05 * i) * x + math.cos(0.05 * i) * y,
        )
    )
    _check(video_camera(turned, FPS), pan_x=0.0, pan_y=0.0, zoom=0.0, rotation=0.5, tolerance=0.03)
