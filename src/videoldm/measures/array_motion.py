"""Optical flow and the camera's motion on numpy arrays, without torch.

Directions and units are those of `videoldm.measures.flow`. The camera fit writes positions and flow as complex numbers
x + iy from the frame's centre: pan, zoom and roll are then the line flow = shift + turn * position.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Complex, Float, Float32, Real, UInt8

from videoldm.core.errors import InputError
from videoldm.measures.config import CameraFitConfig, DisConfig, FarnebackConfig

_EDGE_PX = 4
_FINEST_LEVEL = 1
_MAD_TO_SIGMA = 1.4826
_RIDGE = 1e-9
"""Makes the turn unique where the weights lie on too few pixels to determine it."""
_SMALLEST = 1e-300


def farneback_flow(
    first: Real[np.ndarray, "h w"], second: Real[np.ndarray, "h w"], config: FarnebackConfig
) -> Float32[np.ndarray, "h w 2"]:
    """Estimate the flow between two grey pictures in 0..255 by Farneback's method.

    Farneback 2003, "Two-Frame Motion Estimation Based on Polynomial Expansion".
    """
    # OpenCV finds motion at the right and bottom edge even between equal frames; the padding keeps it out.
    first, second = (np.pad(frame, _EDGE_PX, mode="edge") for frame in (first, second))
    padded = cv2.calcOpticalFlowFarneback(
        first,
        second,
        np.zeros((*first.shape, 2), dtype=np.float32),
        pyr_scale=0.5,
        levels=config.num_levels,
        winsize=config.window_px,
        iterations=config.num_iterations,
        poly_n=config.polynomial_px,
        poly_sigma=config.polynomial_sigma,
        flags=0,
    )
    return padded[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX]


class DisFlow:
    """Flow by dense inverse search, between grey pictures of at least 43 pixels.

    Kroeger et al. 2016, "Fast Optical Flow using Dense Inverse Search", without its variational refinement.
    """

    def __init__(self, config: DisConfig) -> None:
        self._search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._search.setFinestScale(_FINEST_LEVEL)
        self._search.setPatchStride(config.stride_px)
        self._search.setGradientDescentIterations(config.num_iterations)

    def __call__(
        self, first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]
    ) -> Float32[np.ndarray, "h w 2"]:
        """Estimate the flow from the first picture to the second."""
        return np.asarray(self._search.calc(first, second, None))  # pyright: ignore[reportCallIssue, reportArgumentType]


@dataclass(frozen=True, kw_only=True)
class CameraStep:
    """The camera's motion from each frame to the next; signs as in `CameraFit`, lengths in short sides."""

    pan_x: Float[np.ndarray, " m"]
    pan_y: Float[np.ndarray, " m"]
    zoom: Float[np.ndarray, " m"]
    rotation: Float[np.ndarray, " m"]
    residual: Float[np.ndarray, " m"]
    inliers: Float[np.ndarray, " m"]


def fit_camera_steps(
    flow: Float[np.ndarray, "m 2 h w"],
    config: CameraFitConfig,
    weight: Float[np.ndarray, "m h w"] | None = None,
) -> CameraStep:
    """Fit a similarity robustly to each flow map, given in pixels; the method is that of `camera.fit_camera`."""
    height, width = flow.shape[-2:]
    rows, columns = (_sampled(length, min(height, width), config) for length in (height, width))
    position = _positions(height, width)[np.ix_(rows, columns)].ravel()
    sampled = flow[..., rows[:, None], columns].reshape(len(flow), 2, -1).astype(np.float64)
    target = sampled[:, 0] + 1j * sampled[:, 1]
    trust = None
    if weight is not None:
        trust = weight[..., rows[:, None], columns].reshape(len(flow), -1).astype(np.float64)
        if not (trust.sum(axis=1) > 0).all():
            raise InputError("fit_camera: weight is zero in a whole frame, at least some pixels must count")
    shift, turn, residual, is_near = _robust_line(position, target, trust, config)
    short_side = min(height, width)
    trust = np.ones_like(residual) if trust is None else trust
    return CameraStep(
        pan_x=-np.real(shift) / short_side,
        pan_y=-np.imag(shift) / short_side,
        zoom=np.log(np.abs(1 + turn)),
        rotation=-np.angle(1 + turn),
        residual=_median(residual, trust) / short_side,
        inliers=(is_near * trust).sum(axis=1) / trust.sum(axis=1),
    )


def camera_steps_flow(step: CameraStep, *, height: int, width: int) -> Float[np.ndarray, "m 2 h w"]:
    """Return the flow in pixels that the camera alone causes; the inverse of `fit_camera_steps`."""
    shift = -(step.pan_x + 1j * step.pan_y) * min(height, width)
    turn = np.exp(step.zoom - 1j * step.rotation) - 1
    flow = shift[:, None, None] + turn[:, None, None] * _positions(height, width)
    return np.stack([flow.real, flow.imag], axis=1)


def _sampled(length: int, short_side: int, config: CameraFitConfig) -> np.ndarray:
    """Return evenly spaced rows or columns, about `grid_px` of them along the short side."""
    step = max(1, short_side // config.grid_px)
    positions = np.arange(config.margin_px + step // 2, length - config.margin_px, step)
    if len(positions) == 0:
        raise InputError(f"fit_camera: a margin of {config.margin_px} px leaves nothing of {short_side} px")
    return positions


def _positions(height: int, width: int) -> Complex[np.ndarray, "h w"]:
    return np.arange(width) - (width - 1) / 2 + 1j * (np.arange(height)[:, None] - (height - 1) / 2)


def _robust_line(
    position: Complex[np.ndarray, " n"],
    target: Complex[np.ndarray, "m n"],
    trust: Float[np.ndarray, "m n"] | None,
    config: CameraFitConfig,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return shift `m`, turn `m`, residual magnitudes `m n`, and which of them are inliers."""
    powers = _Powers(position)
    trusted = np.ones(target.shape) if trust is None else trust
    weights = trusted
    shift, turn, residual = powers.line(target, weights)
    for _ in range(config.num_iterations):
        weights = trusted / np.maximum(residual, config.min_scale_px)
        shift, turn, residual = powers.line(target, weights)
    for _ in range(config.num_iterations):
        scale = np.maximum(_MAD_TO_SIGMA * _median(residual, trust), config.min_scale_px)
        weights = np.maximum(1 - (residual / (config.tuning * scale[:, None])) ** 2, 0) ** 2 * trusted
        shift, turn, residual = powers.line(target, weights)
    return shift, turn, residual, weights > 0


class _Powers:
    """Positions with their powers, which the weighted sums need."""

    def __init__(self, position: Complex[np.ndarray, " n"]) -> None:
        x, y, one = np.real(position), np.imag(position), np.ones(len(position))
        self._position = position
        self._real = np.stack([one, x, y, x**2 + y**2], axis=1)
        self._conjugate = np.stack([one, position.conj()], axis=1)

    def line(
        self, target: Complex[np.ndarray, "m n"], weights: Float[np.ndarray, "m n"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return shift and turn by weighted least squares, and the distance of the target from the line."""
        total, at_x, at_y, spread = (weights @ self._real).T
        sum_target, product = ((weights * target) @ self._conjugate).T
        at = at_x + 1j * at_y
        open_turn = total * spread - at_x**2 - at_y**2 + _RIDGE * total * spread
        turn = (total * product - sum_target * at.conj()) / np.maximum(open_turn, _SMALLEST)
        shift = (sum_target - turn * at) / total
        return shift, turn, np.abs(target - shift[:, None] - turn[:, None] * self._position)


def _median(values: Float[np.ndarray, "m n"], weight: Float[np.ndarray, "m n"] | None) -> Float[np.ndarray, " m"]:
    """Return the weighted median of each row."""
    if weight is None:
        middle = (values.shape[1] + 1) // 2 - 1
        return np.partition(values, middle, axis=1)[:, middle]
    order = values.argsort(axis=1)
    cumulative = np.take_along_axis(weight, order, axis=1).cumsum(axis=1)
    middle = (cumulative >= cumulative[:, -1:] / 2).argmax(axis=1)
    return np.take_along_axis(values, order, axis=1)[np.arange(len(values)), middle]
