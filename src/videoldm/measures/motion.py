"""How much moves in a video: one number per clip."""

from fractions import Fraction

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_fps
from videoldm.measures.config import FarnebackConfig
from videoldm.measures.flow import visible_flow


def mean_motion(
    flow: Float[Tensor, "*batch t 2 h w"], fps: Fraction, valid: Bool[Tensor, "*batch t h w"] | None = None
) -> Float[Tensor, "*batch"]:
    """Mean flow magnitude of a clip, in short sides of the frame per second.

    `flow` is in pixels per frame step, estimated or true; `fps` is the rate of those steps. A picture shifting by its
    whole short side within one second has motion 1. With `valid`, only the pixels where it is true count; a clip
    without any has motion NaN.
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
    """`mean_motion` of the `visible_flow` of a video with pixels in [-1, 1] and at least two frames.

    Small objects on flat ground are measured too large, pans over flat ground too small.
    """
    return mean_motion(visible_flow(video, config), fps)
