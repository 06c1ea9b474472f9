"""Camera motion fitted to optical flow: pan, zoom and roll."""

import math
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_fps
from videoldm.measures.array_motion import CameraStep, camera_steps_flow, fit_camera_steps
from videoldm.measures.config import CameraFitConfig, CameraThresholds, FarnebackConfig
from videoldm.measures.flow import visible_flow

CameraClass = Literal["static", "pan_left", "pan_right", "zoom_in", "zoom_out", "other"]

_RATES = ("pan_x", "pan_y", "zoom", "rotation", "residual")


@dataclass(frozen=True, kw_only=True)
class CameraFit:
    """Camera motion from each frame to the next, per second."""

    pan_x: Float[Tensor, "*batch t"]
    """Short sides of the frame per second; positive when the camera turns right, so that the picture moves left."""
    pan_y: Float[Tensor, "*batch t"]
    """Short sides per second; positive when the camera turns down, so that the picture moves up."""
    zoom: Float[Tensor, "*batch t"]
    """Logarithm of the magnification per second; positive when zooming in."""
    rotation: Float[Tensor, "*batch t"]
    """Radians per second; positive when the camera rolls clockwise, so that the picture turns counter-clockwise."""
    residual: Float[Tensor, "*batch t"]
    """Median magnitude of the flow that the fit leaves, in short sides per second: parallax, not small objects."""
    inliers: Float[Tensor, "*batch t"]
    """Fraction of the weighted pixels that follow the camera."""


def fit_camera(
    flow: Float[Tensor, "*batch t 2 h w"],
    fps: Fraction,
    *,
    weight: Float[Tensor, "*batch t h w"] | None = None,
    config: CameraFitConfig | None = None,
) -> CameraFit:
    """Fit a similarity (pan, zoom, roll) robustly to each flow map, estimated or true, at `fps` maps per second.

    Iteratively reweighted least squares: absolute deviations first, which tolerate objects over less than half of the
    frame, then Tukey's biweight, which ignores them. `weight` (non-negative) is the confidence in each pixel's flow. A
    video without a common motion (an orbit, say) has a large `residual` and few `inliers`.
    """
    check_fps(fps)
    batch, (height, width) = flow.shape[:-3], flow.shape[-2:]
    step = fit_camera_steps(
        flow.detach().cpu().numpy().reshape(-1, 2, height, width),
        config or CameraFitConfig(),
        None if weight is None else weight.detach().cpu().numpy().reshape(-1, height, width),
    )

    def shaped(values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).float().reshape(batch).to(flow.device)

    per_second = {name: shaped(getattr(step, name) * float(fps)) for name in _RATES}
    return CameraFit(**per_second, inliers=shaped(step.inliers))


def camera_flow(motion: CameraFit, fps: Fraction, *, height: int, width: int) -> Float[Tensor, "*batch t 2 h w"]:
    """Return the flow between frames of `height` x `width` that the camera alone causes; inverse of `fit_camera`."""
    check_fps(fps)
    parts = {field.name: getattr(motion, field.name).detach() for field in fields(CameraFit)}
    arrays = {name: value.double().cpu().numpy().ravel() for name, value in parts.items()}
    step = CameraStep(**{name: value / float(fps) if name in _RATES else value for name, value in arrays.items()})
    flow = torch.from_numpy(camera_steps_flow(step, height=height, width=width))
    return flow.float().reshape(*motion.pan_x.shape, 2, height, width).to(motion.pan_x.device)


def video_camera(
    video: Float[Tensor, "*batch t c h w"],
    fps: Fraction,
    *,
    flow_config: FarnebackConfig | None = None,
    config: CameraFitConfig | None = None,
) -> CameraFit:
    """Fit the camera to the `visible_flow` of a video with pixels in [-1, 1] and at least two frames."""
    return fit_camera(visible_flow(video, flow_config), fps, config=config)


def classify_camera(motion: CameraFit, thresholds: CameraThresholds | None = None) -> list[CameraClass]:
    """Classify each clip by the mean over its frames; a single clip gives a list of one.

    "static" if every value is below its threshold, else the name of the value furthest above its own; "other" if that
    is a pan up or down or a roll.
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
