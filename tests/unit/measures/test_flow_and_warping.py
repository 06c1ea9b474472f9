"""Flow, motion and warping on textures whose movement is known exactly."""

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.config import FarnebackConfig
from videoldm.measures.flow import estimate_backward_flow, estimate_flow
from videoldm.measures.temporal import (
    estimated_warping_error,
    forward_backward_valid,
    inside_frame,
    mean_motion,
    video_motion,
    warp,
    warping_error,
)

Texture = Callable[..., Tensor]


def _shift(dx: float, dy: float) -> Callable[[float, Tensor, Tensor], tuple[Tensor, Tensor]]:
    return lambda i, x, y: (x - i * dx, y - i * dy)


def _uniform(video: Tensor, dx: float, dy: float) -> Tensor:
    flow = torch.tensor([dx, dy]).reshape(1, 2, 1, 1)
    return flow.expand(len(video) - 1, 2, *video.shape[-2:])


@pytest.mark.parametrize(("dx", "dy"), [(0.3, 0.0), (1.0, -0.5), (-2.5, 1.5), (5.0, 2.0)])
def test_flow_of_a_shifted_texture(moving_texture: Texture, dx: float, dy: float) -> None:
    video = moving_texture(_shift(dx, dy))
    flow = estimate_flow(video)
    assert flow.shape == (3, 2, 64, 64)
    error = (flow - _uniform(video, dx, dy)).norm(dim=1)[:, 8:-8, 8:-8]
    assert error.mean() < 0.08


def test_flow_of_a_zoomed_texture(moving_texture: Texture) -> None:
    video = moving_texture(lambda i, x, y: (x / 1.04**i, y / 1.04**i), num_frames=3)
    across = 0.04 * (torch.arange(64) - 31.5)
    true = torch.stack([across.expand(64, 64), across[:, None].expand(64, 64)])
    assert (estimate_flow(video) - true).norm(dim=1)[:, 8:-8, 8:-8].mean() < 0.08


def test_flow_comes_back_in_the_pixels_of_a_larger_and_wider_video(moving_texture: Texture) -> None:
    video = moving_texture(lambda i, x, y: (x / 2 - 2 * i, y / 2 - i), height=128, width=192)
    flow = estimate_flow(video)
    assert flow.shape == (3, 2, 128, 192)
    error = (flow - _uniform(video, 4.0, 2.0)).norm(dim=1)[:, 16:-16, 16:-16]
    assert error.mean() < 0.2


def test_flow_equals_opencv_called_directly_at_the_working_size(moving_texture: Texture) -> None:
    video = moving_texture(_shift(1.5, 0.5), num_frames=2)
    first, second = (
        cv2.cvtColor(((frame.permute(1, 2, 0).numpy() + 1) * 127.5).astype(np.float32), cv2.COLOR_RGB2GRAY)
        for frame in video
    )
    config = FarnebackConfig(window_px=9, num_iterations=4)
    theirs = cv2.calcOpticalFlowFarneback(first, second, np.zeros((64, 64, 2), np.float32), 0.5, 4, 9, 4, 5, 1.1, 0)
    ours = estimate_flow(video, config)[0].permute(1, 2, 0).numpy()
    # Only the edge differs, where ours is padded.
    np.testing.assert_allclose(ours[16:-16, 16:-16], theirs[16:-16, 16:-16], atol=0.01)


def test_a_batch_gives_the_flows_of_its_clips(moving_texture: Texture) -> None:
    clips = torch.stack(
        [moving_texture(_shift(1.0, 0.0), num_frames=3), moving_texture(_shift(0.0, 2.0), num_frames=3)]
    )
    together = estimate_flow(clips)
    for clip, flow in zip(clips, together, strict=True):
        assert torch.equal(estimate_flow(clip), flow)


def test_backward_flow_is_the_opposite_of_a_shift(moving_texture: Texture) -> None:
    video = moving_texture(_shift(2.0, -1.0), num_frames=2)
    error = (estimate_backward_flow(video) - _uniform(video, -2.0, 1.0)).norm(dim=1)[:, 8:-8, 8:-8]
    assert error.mean() < 0.08


def test_motion_is_in_short_sides_a_second_whatever_size_and_rate(moving_texture: Texture) -> None:
    # 2 pixels a frame of 64, 8 frames a second: a quarter of the frame a second.
    video = moving_texture(_shift(2.0, 0.0))
    assert video_motion(video, Fraction(8)).item() == pytest.approx(0.25, rel=0.05)
    every_other = video[::2]
    assert video_motion(every_other, Fraction(4)).item() == pytest.approx(0.25, rel=0.08)
    doubled = moving_texture(lambda i, x, y: (x / 2 - 2 * i, y / 2), height=128, width=160)
    assert video_motion(doubled, Fraction(8)).item() == pytest.approx(0.25, rel=0.1)


def test_true_motion_maps_give_motion_exactly_and_only_where_valid() -> None:
    flow = torch.zeros(2, 3, 2, 48, 96)
    flow[1, :, :, :, :48] = torch.tensor([3.0, 4.0]).reshape(2, 1, 1)
    torch.testing.assert_close(mean_motion(flow, Fraction(24)), torch.tensor([0.0, 0.5 * 5 * 24 / 48]))
    valid = torch.zeros(2, 3, 48, 96, dtype=torch.bool)
    valid[..., :48] = True
    torch.testing.assert_close(mean_motion(flow, Fraction(24), valid), torch.tensor([0.0, 5 * 24 / 48]))


def test_a_still_clip_has_zero_motion_and_zero_warping_error(moving_texture: Texture) -> None:
    video = moving_texture(_shift(0.0, 0.0))
    assert video_motion(video, Fraction(30)).item() == pytest.approx(0.0, abs=1e-4)
    assert estimated_warping_error(video).item() == pytest.approx(0.0, abs=1e-4)


def test_warping_by_whole_pixels_is_an_exact_shift() -> None:
    frame = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    flow = torch.zeros(1, 2, 6, 7)
    flow[:, 0], flow[:, 1] = 2.0, -1.0
    torch.testing.assert_close(warp(frame, flow)[..., 1:, :-2], frame[..., :-1, 2:])
    inside = inside_frame(flow)[0]
    assert inside[1:, :5].all()
    assert not inside[0].any()
    assert not inside[:, 5:].any()


def test_warping_error_is_small_along_the_right_flow_and_large_along_wrong_ones(moving_texture: Texture) -> None:
    video = moving_texture(_shift(2.0, 1.0))
    right = warping_error(video, _uniform(video, 2.0, 1.0)).item()
    none = warping_error(video, _uniform(video, 0.0, 0.0)).item()
    opposite = warping_error(video, _uniform(video, -2.0, -1.0)).item()
    assert right == pytest.approx(0.0, abs=1e-5)
    assert none > 0.1
    assert opposite > none
    assert estimated_warping_error(video).item() < 0.1 * none


def test_warping_error_counts_only_valid_pixels() -> None:
    video = torch.zeros(2, 3, 8, 8)
    video[1, :, :, :4] = 0.5
    still = torch.zeros(1, 2, 8, 8)
    assert warping_error(video, still).item() == pytest.approx(0.25)
    valid = torch.zeros(1, 8, 8, dtype=torch.bool)
    valid[..., 4:] = True
    assert warping_error(video, still, valid).item() == 0.0
    assert torch.isnan(warping_error(video, still, torch.zeros_like(valid)))


def test_flicker_raises_the_warping_error(moving_texture: Texture) -> None:
    video = moving_texture(_shift(1.0, 0.0))
    flicker = 0.05 * torch.randn(video.shape, generator=torch.Generator().manual_seed(0))
    assert estimated_warping_error(video + flicker).item() > estimated_warping_error(video).item() + 0.02


def test_the_forward_backward_check_drops_flow_that_does_not_return() -> None:
    forward = torch.zeros(2, 16, 16)
    forward[0] = 3.0
    backward = -forward
    backward[0, :, 8:] = 5.0
    valid = forward_backward_valid(forward, backward)
    assert valid[:, :5].all()
    assert not valid[:, 6:].any()


def test_bad_inputs_are_named() -> None:
    video = torch.zeros(3, 3, 32, 32)
    with pytest.raises(InputError, match="at least 2 frames"):
        estimate_flow(video[:1])
    with pytest.raises(InputError, match="fps"):
        video_motion(video, Fraction(0))
