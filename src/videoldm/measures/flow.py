"""Dense optical flow between consecutive frames.

Every flow in this package is forward and in pixels of the frames it belongs to: channel 0 is x (right), channel 1 is y
(down), and the picture at p in frame t lies at p + flow(p) in frame t + 1.
"""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from videoldm.measures.arguments import check_video
from videoldm.measures.array_motion import farneback_flow
from videoldm.measures.config import FarnebackConfig

_LUMA = (0.299, 0.587, 0.114)


def estimate_flow(
    video: Float[Tensor, "*batch t c h w"], config: FarnebackConfig | None = None
) -> Float[Tensor, "*batch t-1 2 h w"]:
    """Estimate the flow from each frame to the next by Farneback's method.

    Pixels in [-1, 1], 1 or 3 channels. Frames are scaled so that their short side is `config.working_short_side`: equal
    videos of different size then give equal motion. The flow has the size and the pixel units of `video`.
    Farneback 2003, "Two-Frame Motion Estimation Based on Polynomial Expansion".
    """
    return _flow_between(video, config or FarnebackConfig(), backward=False)


def estimate_backward_flow(
    video: Float[Tensor, "*batch t c h w"], config: FarnebackConfig | None = None
) -> Float[Tensor, "*batch t-1 2 h w"]:
    """Estimate the flow from each frame to the one before it as `estimate_flow` does; entry i is of frame i + 1."""
    return _flow_between(video, config or FarnebackConfig(), backward=True)


def visible_flow(
    video: Float[Tensor, "*batch t c h w"], config: FarnebackConfig | None = None
) -> Float[Tensor, "*batch t-1 2 h w"]:
    """Estimate the flow, set to zero wherever no motion explains the next frame as well.

    Farneback's flow leaks from moving objects far into flat surroundings. Invisible movement, of a flat surface along
    itself, counts as none.
    """
    flow = estimate_flow(video, config)
    return _without_unseen(flow, video[..., :-1, :, :, :], video[..., 1:, :, :, :])


def visible_backward_flow(
    video: Float[Tensor, "*batch t c h w"], config: FarnebackConfig | None = None
) -> Float[Tensor, "*batch t-1 2 h w"]:
    """Estimate the backward flow, set to zero as in `visible_flow`."""
    flow = estimate_backward_flow(video, config)
    return _without_unseen(flow, video[..., 1:, :, :, :], video[..., :-1, :, :, :])


def _without_unseen(flow: Tensor, start: Tensor, goal: Tensor) -> Tensor:
    error_still = _neighbourhood_mean((goal - start).abs().mean(dim=-3))
    error_moved = _neighbourhood_mean((warp(goal, flow) - start).abs().mean(dim=-3))
    return flow * (error_moved < error_still).unsqueeze(-3)


def _neighbourhood_mean(values: Float[Tensor, "*batch h w"]) -> Float[Tensor, "*batch h w"]:
    """Average over a square with about a sixth of the frame's short side, cut off at the edges."""
    radius = max(1, round(min(values.shape[-2:]) / 13))
    planes = values.reshape(-1, 1, *values.shape[-2:])
    means = F.avg_pool2d(planes, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    return means.reshape(values.shape)


def _flow_between(video: Tensor, config: FarnebackConfig, *, backward: bool) -> Tensor:
    check_video("flow", video, min_frames=2)
    batch, (num_frames, _, height, width) = video.shape[:-4], video.shape[-4:]
    grey = _working_frames(video, config.working_short_side)
    grey = grey.reshape(-1, num_frames, *grey.shape[-2:])
    pairs = [
        (clip[i + 1], clip[i]) if backward else (clip[i], clip[i + 1]) for clip in grey for i in range(num_frames - 1)
    ]
    flow = torch.from_numpy(np.stack([farneback_flow(first, second, config) for first, second in pairs]))
    flow = _resize_flow(flow.permute(0, 3, 1, 2), height, width)
    return flow.reshape(*batch, num_frames - 1, 2, height, width).to(video.device)


def _working_frames(video: Tensor, short_side: int) -> np.ndarray:
    """Return grey frames `n h w` in 0..255, the range that OpenCV's constants assume, as floats without rounding."""
    frames = video.detach().reshape(-1, *video.shape[-3:]).float().cpu()
    if frames.shape[1] == 3:
        weights = torch.tensor(_LUMA).reshape(1, 3, 1, 1)
        frames = (frames * weights).sum(dim=1, keepdim=True)
    else:
        frames = frames.mean(dim=1, keepdim=True)
    height, width = frames.shape[-2:]
    scale = short_side / min(height, width)
    if scale != 1:
        size = (round(height * scale), round(width * scale))
        frames = F.interpolate(frames, size=size, mode="bicubic", antialias=True)
    return ((frames[:, 0] + 1) * 127.5).clamp(0, 255).numpy()


def _resize_flow(flow: Tensor, height: int, width: int) -> Tensor:
    if flow.shape[-2:] == (height, width):
        return flow.contiguous()
    scale = torch.tensor([width / flow.shape[-1], height / flow.shape[-2]]).reshape(1, 2, 1, 1)
    return F.interpolate(flow, size=(height, width), mode="bilinear", antialias=True) * scale


def warp(frames: Float[Tensor, "*batch c h w"], flow: Float[Tensor, "*batch 2 h w"]) -> Float[Tensor, "*batch c h w"]:
    """Look up `frames` at p + flow(p) bilinearly; positions outside the frame take its nearest edge pixel."""
    height, width = frames.shape[-2:]
    x, y = _pixel_positions(flow)
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], dim=-1)
    flat = frames.reshape(-1, *frames.shape[-3:])
    warped = F.grid_sample(
        flat, grid.reshape(-1, height, width, 2).to(flat.dtype), padding_mode="border", align_corners=True
    )
    return warped.reshape(frames.shape)


def inside_frame(flow: Float[Tensor, "*batch 2 h w"]) -> Bool[Tensor, "*batch h w"]:
    """Return where p + flow(p) lies inside the frame."""
    x, y = _pixel_positions(flow)
    return (x >= 0) & (x <= flow.shape[-1] - 1) & (y >= 0) & (y <= flow.shape[-2] - 1)


def _pixel_positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    height, width = flow.shape[-2:]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device).reshape(-1, 1)
    return flow[..., 0, :, :] + columns, flow[..., 1, :, :] + rows
