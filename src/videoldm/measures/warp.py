"""Looking up frames at moved positions."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


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
    """True where p + flow(p) lies inside the frame."""
    x, y = _pixel_positions(flow)
    return (x >= 0) & (x <= flow.shape[-1] - 1) & (y >= 0) & (y <= flow.shape[-2] - 1)


def _pixel_positions(flow: Tensor) -> tuple[Tensor, Tensor]:
    height, width = flow.shape[-2:]
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device)
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device).reshape(-1, 1)
    return flow[..., 0, :, :] + columns, flow[..., 1, :, :] + rows
