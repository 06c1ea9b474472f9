"""Cameras: where they look at a time, how their frames are sheared by a rolling shutter and blurred by motion."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Pose:
    """Centre in frame widths from the picture's middle, magnification, roll in radians."""

    x: float
    y: float
    zoom: float
    roll: float


@dataclass(frozen=True)
class Shake:
    """Sums of sines for x, y and roll: amplitudes in frame widths (radians), frequencies in hertz, phases."""

    amplitudes: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray

    @classmethod
    def random(cls, random: np.random.Generator, strength: float) -> Shake:
        """Strength is the usual excursion in frame widths; high frequencies are weak, as in a hand."""
        frequencies = np.exp(random.uniform(math.log(0.3), math.log(7), (3, 7)))
        amplitudes = strength * random.uniform(0.4, 1.4, (3, 7)) / (1 + frequencies**1.3)
        return cls(amplitudes * np.array([[1], [1], [0.6]]), frequencies, random.uniform(0, 2 * math.pi, (3, 7)))

    def at(self, time_s: float) -> np.ndarray:
        """Excursion in x, y and roll."""
        return (self.amplitudes * np.sin(2 * math.pi * self.frequencies * time_s + self.phases)).sum(1)


@dataclass(frozen=True)
class Camera:
    """Smooth sweeps to and fro around a centre, zooms likewise, steps of a walk, and a shake.

    Sweeps move `reach` (frame widths) with `speed` (frame widths a second); zooms `zoom_reach` (natural logarithm) with
    `zoom_speed`. The shutter is open for `exposure` of a frame and rolls over the sensor in `readout` of a frame.
    """

    centre: tuple[float, float]
    zoom: float
    shake: Shake
    reach: tuple[float, float] = (0.0, 0.0)
    speed: float = 0.0
    phase: float = 0.0
    zoom_reach: float = 0.0
    zoom_speed: float = 0.0
    step: float = 0.0
    exposure: float = 0.5
    readout: float = 0.6
    whip_at_s: float = -1.0
    whip: tuple[float, float] = (0.0, 0.0)
    whip_s: float = 0.25

    def pose(self, time_s: float) -> Pose:
        """Where the camera is at a time."""
        x, y = self.centre
        length = math.hypot(*self.reach)
        if length:
            along = to_and_fro(self.phase + self.speed * time_s / length)
            x, y = x + self.reach[0] * along, y + self.reach[1] * along
        if self.whip_at_s >= 0:
            done = _smooth((time_s - self.whip_at_s) / self.whip_s)
            x, y = x + self.whip[0] * done, y + self.whip[1] * done
        shake_x, shake_y, roll = self.shake.at(time_s)
        steps = self.step * abs(math.sin(math.pi * 1.9 * time_s))
        sway = 0.5 * self.step * math.sin(math.pi * 1.9 * time_s)
        zoom = self.zoom
        if self.zoom_reach:
            zoom *= math.exp(self.zoom_reach * to_and_fro(self.phase + self.zoom_speed * time_s / abs(self.zoom_reach)))
        return Pose(x + shake_x + sway, y + shake_y + steps, zoom, roll)


def to_and_fro(turns: float) -> float:
    """A triangle wave from -1 to 1 with rounded corners; a unit of `turns` moves by about one."""
    return math.asin(0.98 * math.sin(math.pi / 2 * turns)) / math.asin(0.98)


def _smooth(part: float) -> float:
    part = min(max(part, 0.0), 1.0)
    return part * part * (3 - 2 * part)


def placement(pose: Pose, middle: tuple[float, float], px_per_width: float, size: tuple[int, int]) -> np.ndarray:
    """Affine map `2 3` from a layer's pixels to a frame's; `px_per_width` of the layer's pixels are a frame width."""
    width, height = size
    scale = pose.zoom * width / px_per_width
    cos, sin = scale * math.cos(pose.roll), scale * math.sin(pose.roll)
    x, y = middle[0] + pose.x * px_per_width, middle[1] + pose.y * px_per_width
    return np.array([[cos, -sin, width / 2 - cos * x + sin * y], [sin, cos, height / 2 - sin * x - cos * y]])


def sheared(matrix: np.ndarray, velocity: np.ndarray, readout: float, size: tuple[int, int]) -> np.ndarray:
    """The affine map under a rolling shutter, for a velocity in pixels a frame."""
    height = size[1]
    across, down = velocity * readout
    shear = np.array([[1, across / height, -across / 2], [0, 1 + down / height, -down / 2], [0, 0, 1]])
    return (shear @ np.vstack([matrix, [0, 0, 1]]))[:2]


def motion_blurred(frame: np.ndarray, velocity: np.ndarray, exposure: float) -> np.ndarray:
    """The frame smeared along the velocity (pixels a frame) while the shutter is open."""
    across, down = velocity * exposure
    if max(abs(across), abs(down)) < 1:
        return frame
    half_across, half_down = math.ceil(abs(across) / 2), math.ceil(abs(down) / 2)
    kernel = np.zeros((2 * half_down + 1, 2 * half_across + 1), np.float32)
    for part in np.linspace(-0.5, 0.5, 4 * max(half_across, half_down) + 1):
        kernel[round(half_down + down * part), round(half_across + across * part)] += 1
    return cv2.filter2D(frame, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)
