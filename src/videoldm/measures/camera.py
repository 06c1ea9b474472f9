"""The camera's motion over a frame, fitted to a flow map: pan, zoom and roll."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_fps
from videoldm.measures.config import CameraFitConfig, CameraThresholds, FarnebackConfig
from videoldm.measures.flow import visible_flow

CameraClass = Literal["static", "pan_left", "pan_right", "zoom_in", "zoom_out", "other"]

_MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True, kw_only=True)
class CameraFit:
    """The camera's motion from each frame to the next, per second, as it would move the whole picture."""

    pan_x: Float[Tensor, "*batch t"]
    """Short sides of the frame per second; positive when the camera turns right, so that the picture moves left."""
    pan_y: Float[Tensor, "*batch t"]
    """Short sides per second; positive when the camera turns down, so that the picture moves up."""
    zoom: Float[Tensor, "*batch t"]
    """Logarithm of the magnification per second; positive when zooming in."""
    rotation: Float[Tensor, "*batch t"]
    """Radians per second; positive when the camera rolls clockwise, so that the picture turns counter-clockwise."""
    residual: Float[Tensor, "*batch t"]
    """Median magnitude of the flow that the fit leaves, short sides per second: parallax, not small objects."""
    inliers: Float[Tensor, "*batch t"]
    """Share of the weighted pixels that follow the camera."""


def fit_camera(
    flow: Float[Tensor, "*batch t 2 h w"],
    fps: Fraction,
    *,
    weight: Float[Tensor, "*batch t h w"] | None = None,
    config: CameraFitConfig | None = None,
) -> CameraFit:
    """Robust fit of a similarity (pan, zoom, roll) to each flow map, estimated or true, at `fps` maps per second.

    Iteratively reweighted least squares: absolute deviations first, which tolerate objects over less than half of the
    frame, then Tukey's biweight, which ignores them. `weight` (non-negative) says how far each pixel's flow is to be
    trusted. A video without a common motion (an orbit, say) shows as a large `residual` and few `inliers`.
    """
    check_fps(fps)
    config = config or CameraFitConfig()
    batch, (_, height, width) = flow.shape[:-3], flow.shape[-3:]
    rows, columns = _sampled(height, width, config.grid_px, flow.device)
    design = _design(rows - (height - 1) / 2, columns - (width - 1) / 2)
    target = flow.detach()[..., rows[:, None], columns].double().reshape(-1, 2, design.shape[1])
    if weight is None:
        trust = torch.ones_like(target[:, 0])
    else:
        trust = weight.detach()[..., rows[:, None], columns].double().reshape(-1, design.shape[1])
        if not (trust.sum(dim=1) > 0).all():
            raise InputError("fit_camera: weight is zero in a whole frame, at least some pixels must count")
    solution, residual, weights = _robust_solution(design, target, trust, config)
    to_short_sides = float(fps) / min(height, width)
    shift_x, shift_y, scale, turn = solution.unbind(dim=1)
    kept = ((weights > 0) * trust).sum(dim=1) / trust.sum(dim=1)

    def shaped(values: Tensor) -> Tensor:
        return values.float().reshape(batch)

    return CameraFit(
        pan_x=shaped(-shift_x * to_short_sides),
        pan_y=shaped(-shift_y * to_short_sides),
        zoom=shaped(torch.log(torch.hypot(1 + scale, turn)) * float(fps)),
        rotation=shaped(-torch.atan2(turn, 1 + scale) * float(fps)),
        residual=shaped(_weighted_median(residual, trust) * to_short_sides),
        inliers=shaped(kept),
    )


def camera_flow(motion: CameraFit, fps: Fraction, *, height: int, width: int) -> Float[Tensor, "*batch t 2 h w"]:
    """The flow between frames of `height` x `width` that the camera alone makes; what `fit_camera` inverts."""
    check_fps(fps)
    step_s, short_side = 1 / float(fps), min(height, width)
    magnification, turn = (motion.zoom * step_s).exp(), -motion.rotation * step_s
    parameters = [
        -motion.pan_x * step_s * short_side,
        -motion.pan_y * step_s * short_side,
        magnification * turn.cos() - 1,
        magnification * turn.sin(),
    ]
    solution = torch.stack(parameters, dim=-1).double()
    rows, columns = torch.arange(height), torch.arange(width)
    design = _design(rows - (height - 1) / 2, columns - (width - 1) / 2).to(solution.device)
    flow = torch.einsum("knp,...p->...kn", design, solution)
    return flow.float().unflatten(-1, (height, width))


def video_camera(
    video: Float[Tensor, "*batch t c h w"],
    fps: Fraction,
    *,
    flow_config: FarnebackConfig | None = None,
    config: CameraFitConfig | None = None,
) -> CameraFit:
    """`fit_camera` to the `visible_flow` of a video with pixels in [-1, 1] and at least two frames."""
    return fit_camera(visible_flow(video, flow_config), fps, config=config)


def classify_camera(motion: CameraFit, thresholds: CameraThresholds | None = None) -> list[CameraClass]:
    """One class a clip, from the mean over its frames; a single clip gives a list of one.

    "static" when every value is below its threshold, else the name of the value furthest above its own; "other"
    when that is a pan up or down or a roll.
    """
    limits = thresholds or CameraThresholds()
    values = torch.stack(
        [
            motion.pan_x.mean(dim=-1) / limits.pan,
            motion.zoom.mean(dim=-1) / limits.zoom,
            motion.pan_y.mean(dim=-1) / limits.pan,
            motion.rotation.mean(dim=-1) / limits.roll,
        ],
        dim=-1,
    ).reshape(-1, 4)
    return [_class_of(*row) for row in values.tolist()]


def _class_of(pan_x: float, zoom: float, pan_y: float, roll: float) -> CameraClass:
    largest = max(abs(pan_x), abs(zoom), abs(pan_y), abs(roll))
    if math.isnan(largest):
        raise InputError("classify_camera: the motion is NaN")
    if largest < 1:
        return "static"
    if largest == abs(pan_x):
        return "pan_right" if pan_x > 0 else "pan_left"
    if largest == abs(zoom):
        return "zoom_in" if zoom > 0 else "zoom_out"
    return "other"


def _sampled(height: int, width: int, grid_px: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows and columns of a regular grid with about `grid_px` positions along the short side."""
    step = max(1, min(height, width) // grid_px)
    rows, columns = torch.arange(step // 2, height, step), torch.arange(step // 2, width, step)
    return rows.to(device), columns.to(device)


def _design(rows: Tensor, columns: Tensor) -> Tensor:
    """The linear model flow = A (shift_x, shift_y, scale, turn) at positions from the frame's centre, `2 n 4`."""
    y, x = torch.meshgrid(rows.double(), columns.double(), indexing="ij")
    x, y = x.flatten(), y.flatten()
    one, zero = torch.ones_like(x), torch.zeros_like(x)
    return torch.stack([torch.stack([one, zero, x, -y], dim=1), torch.stack([zero, one, y, x], dim=1)])


def _robust_solution(
    design: Tensor, target: Tensor, trust: Tensor, config: CameraFitConfig
) -> tuple[Tensor, Tensor, Tensor]:
    """Parameters `m 4`, residual magnitudes `m n` and final Tukey weights `m n` for m flow maps."""
    solution = _solve(design, target, trust)
    residual = _residual(design, target, solution)
    for _ in range(config.num_iterations):
        solution = _solve(design, target, trust / residual.clamp_min(config.min_scale_px))
        residual = _residual(design, target, solution)
    weights = torch.ones_like(trust)
    for _ in range(config.num_iterations):
        scale = (_MAD_TO_SIGMA * _weighted_median(residual, trust)).clamp_min(config.min_scale_px)
        weights = (1 - (residual / (config.tuning * scale[:, None])) ** 2).clamp_min(0) ** 2
        solution = _solve(design, target, trust * weights)
        residual = _residual(design, target, solution)
    return solution, residual, weights


def _solve(design: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    products = torch.einsum("knp,knq->npq", design, design).flatten(1)
    normal = (weight @ products).unflatten(1, (4, 4))
    right = ((weight[:, None] * target).transpose(0, 1) @ design).sum(dim=0)
    # A trace of ridge, for weights on so few pixels that they leave a parameter open.
    ridge = 1e-9 * normal.diagonal(dim1=1, dim2=2)
    return torch.linalg.solve(normal + torch.diag_embed(ridge + 1e-12), right)


def _residual(design: Tensor, target: Tensor, solution: Tensor) -> Tensor:
    fitted = (design @ solution.T).permute(2, 0, 1)
    return torch.linalg.vector_norm(target - fitted, dim=1)


def _weighted_median(values: Tensor, weight: Tensor) -> Tensor:
    ordered, order = values.sort(dim=1)
    cumulative = weight.gather(1, order).cumsum(dim=1)
    middle = torch.searchsorted(cumulative, cumulative[:, -1:] / 2)
    return ordered.gather(1, middle.clamp_max(values.shape[1] - 1))[:, 0]
