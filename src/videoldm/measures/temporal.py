"""Amount of motion in a video, and the consistency of its frames along that motion."""

from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_fps, check_video
from videoldm.measures.config import FarnebackConfig
from videoldm.measures.flow import inside_frame, visible_backward_flow, visible_flow, warp


def mean_motion(
    flow: Float[Tensor, "*batch t 2 h w"], fps: Fraction, valid: Bool[Tensor, "*batch t h w"] | None = None
) -> Float[Tensor, "*batch"]:
    """Compute the mean flow magnitude of a clip, in short sides of the frame per second.

    flow: pixels per frame step, estimated or true; `fps` is the rate of those steps.
    valid: only pixels where it is true count; a clip without any has motion NaN.
    A picture that shifts by its whole short side within one second has motion 1.
    """
    check_fps(fps)
    if flow.shape[-4] == 0:
        raise InputError("mean_motion: needs at least one flow map, got 0")
    magnitude = torch.linalg.vector_norm(flow.float(), dim=-3)
    short_side = min(flow.shape[-2:])
    weight = torch.ones_like(magnitude) if valid is None else valid.to(magnitude.dtype)
    mean_px = (magnitude * weight).sum(dim=(-3, -2, -1)) / weight.sum(dim=(-3, -2, -1))
    return mean_px * (float(fps) / short_side)


def video_motion(
    video: Float[Tensor, "*batch t c h w"], fps: Fraction, config: FarnebackConfig | None = None
) -> Float[Tensor, "*batch"]:
    """Compute `mean_motion` of the `visible_flow` of a video with pixels in [-1, 1] and at least two frames.

    Overestimates small objects on flat ground and underestimates pans over flat ground.
    """
    return mean_motion(visible_flow(video, config), fps)


def forward_backward_valid(
    forward: Float[Tensor, "*batch 2 h w"], backward: Float[Tensor, "*batch 2 h w"]
) -> Bool[Tensor, "*batch h w"]:
    """Return where following the flow and then the backward flow returns to the start and stays in the frame.

    The bound is |f + b|^2 < 0.01 (|f|^2 + |b|^2) + 0.5, Sundaram et al. 2010, "Dense Point Trajectories by
    GPU-Accelerated Large Displacement Optical Flow".
    """
    returned = warp(backward, forward)
    gap = (forward + returned).square().sum(dim=-3)
    size = forward.square().sum(dim=-3) + returned.square().sum(dim=-3)
    return inside_frame(forward) & (gap < 0.01 * size + 0.5)


def warping_error(
    video: Float[Tensor, "*batch t c h w"],
    flow: Float[Tensor, "*batch t-1 2 h w"],
    valid: Bool[Tensor, "*batch t-1 h w"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Compute the mean absolute difference of each frame from its successor warped back along `flow`.

    Pixels in [-1, 1], so the error lies in [0, 2]; lower is more consistent. Counts pixels where `valid` is true and
    the flow stays in the frame; a clip without any gives NaN. `flow` is estimated or, for rendered clips, the true
    motion (then `valid` excludes what the next frame hides).
    """
    check_video("warping_error", video, min_frames=2)
    expected = (*video.shape[:-4], video.shape[-4] - 1, 2, *video.shape[-2:])
    if tuple(flow.shape) != expected:
        raise InputError(f"warping_error: flow must be {expected} for this video, got {tuple(flow.shape)}")
    now, following = video[..., :-1, :, :, :], video[..., 1:, :, :, :]
    difference = (warp(following, flow) - now).abs().mean(dim=-3)
    weight = inside_frame(flow) if valid is None else inside_frame(flow) & valid
    weight = weight.to(difference.dtype)
    return (difference * weight).sum(dim=(-3, -2, -1)) / weight.sum(dim=(-3, -2, -1))


def estimated_warping_error(
    video: Float[Tensor, "*batch t c h w"], config: FarnebackConfig | None = None
) -> Float[Tensor, "*batch"]:
    """Compute `warping_error` along `visible_flow`, counting pixels where forward and backward flow agree."""
    forward = visible_flow(video, config)
    valid = forward_backward_valid(forward, visible_backward_flow(video, config))
    return warping_error(video, forward, valid)


@dataclass(frozen=True, kw_only=True)
class TemporalConsistency:
    """Temporal consistency of clips; lower is more consistent for both numbers.

    A still picture scores 0 on both, so compare them only together with the clip's motion.
    """

    warping_error: Float[Tensor, "*batch"]
    """Mean absolute pixel difference along estimated flow, in [0, 2]."""
    feature_distance: Float[Tensor, "*batch"] | None
    """Mean cosine distance between the features of consecutive frames, in [0, 2]; None if no features were given."""


def consecutive_feature_distance(frame_features: Float[Tensor, "*batch t d"]) -> Float[Tensor, "*batch"]:
    """Compute the mean of 1 - cosine similarity between the features of consecutive frames."""
    num_frames = frame_features.shape[-2]
    if num_frames < 2:
        raise InputError(f"consecutive_feature_distance: needs at least 2 frames, got {num_frames}")
    unit = frame_features.float()
    unit = unit / unit.norm(dim=-1, keepdim=True).clamp_min(1e-12)
    similarity = (unit[..., 1:, :] * unit[..., :-1, :]).sum(dim=-1)
    return (1 - similarity).mean(dim=-1)


def temporal_consistency(
    video: Float[Tensor, "*batch t c h w"],
    frame_features: Float[Tensor, "*batch t d"] | None = None,
    config: FarnebackConfig | None = None,
) -> TemporalConsistency:
    """Compute the warping error along estimated flow and, if features are given, their mean change between frames."""
    return TemporalConsistency(
        warping_error=estimated_warping_error(video, config),
        feature_distance=None if frame_features is None else consecutive_feature_distance(frame_features),
    )
