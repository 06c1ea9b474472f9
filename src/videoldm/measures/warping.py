"""The error left after warping along flow: how well each frame predicts its predecessor."""

from jaxtyping import Bool, Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_video
from videoldm.measures.config import FarnebackConfig
from videoldm.measures.flow import visible_backward_flow, visible_flow
from videoldm.measures.warp import inside_frame, warp


def forward_backward_valid(
    forward: Float[Tensor, "*batch 2 h w"], backward: Float[Tensor, "*batch 2 h w"]
) -> Bool[Tensor, "*batch h w"]:
    """True where following the flow and then the backward flow returns to the start, and stays in the frame.

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
    """Mean absolute difference of each frame from its successor warped back along `flow`; lower is more consistent.

    Pixels in [-1, 1], so the error lies in [0, 2]. Counted where `valid` is true and the flow stays in the frame; a
    clip without such a pixel gives NaN. `flow` is estimated or, for rendered clips, true motion (then `valid`
    excludes what the next frame hides).
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
    """`warping_error` along `visible_flow`, counted where forward and backward flow agree."""
    forward = visible_flow(video, config)
    valid = forward_backward_valid(forward, visible_backward_flow(video, config))
    return warping_error(video, forward, valid)
