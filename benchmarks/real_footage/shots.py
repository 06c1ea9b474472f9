"""Shots: a moved camera in front of a picture with cut-outs before it, or a real clip."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace
from typing import Protocol

import cv2
import numpy as np

from real_footage.camera import Camera, Pose, motion_blurred, placement, sheared, to_and_fro

Size = tuple[int, int]


class Shot(Protocol):
    """Frames of one camera, for as long as one likes."""

    words: str

    def frame(self, time_s: float, number: int) -> np.ndarray:
        """Pixels `h w 3` in BGR at a time; `number` counts the shot's frames."""
        ...


@dataclass(frozen=True)
class Gesture:
    """How a cut-out or a region of a picture bends: turns of its upper part, swings of its lower part."""

    turn: float = 0.0
    turn_hz: float = 0.5
    swing: float = 0.0
    swing_hz: float = 1.0
    phase: float = 0.0


@dataclass(frozen=True)
class Actor:
    """A cut-out `h w 4` of some height (frame heights), its place and speed (frame widths, a second), how near it is.

    It walks to and fro within `reach` of its place; with `every_s` it crosses the frame again and again instead.
    """

    pixels: np.ndarray
    height: float
    start: tuple[float, float]
    speed: tuple[float, float] = (0.0, 0.0)
    nearness: float = 1.0
    gesture: Gesture = field(default_factory=Gesture)
    bob: float = 0.0
    reach: float = 0.5
    every_s: float = 0.0

    def place(self, now: float) -> tuple[float, float]:
        """Where it is at a time."""
        if self.every_s:
            x = self.start[0] + self.speed[0] * (now % self.every_s)
        else:
            x = self.start[0] + self.reach * to_and_fro(self.speed[0] * now / self.reach)
        return x, self.start[1] - self.bob * abs(
            math.sin(2 * math.pi * self.gesture.swing_hz * now + self.gesture.phase)
        )


@dataclass(frozen=True)
class Living:
    """A round region of the picture that moves in it, as a head does: centre and radius in frame widths, reach."""

    centre: tuple[float, float]
    radius: float
    reach: float
    hz: float
    phase: float


@dataclass(frozen=True)
class PictureShot:
    """A picture seen by a camera; `px_per_width` of the picture's pixels are a frame wide at zoom 1."""

    words: str
    picture: np.ndarray
    px_per_width: float
    camera: Camera
    size: Size
    frame_s: float
    actors: tuple[Actor, ...] = ()
    living: tuple[Living, ...] = ()
    focus: tuple[float, float] = (0.0, 1.0)
    start_s: float = 0.0
    is_hard_edged: bool = False

    def frame(self, time_s: float, number: int) -> np.ndarray:
        """See Shot."""
        del number
        now = self.start_s + time_s
        matrix, velocity = self._placed(now, 1.0, None)
        if self.living:
            result = self._warped(matrix, now)
        else:
            flags = cv2.INTER_NEAREST if self.is_hard_edged else cv2.INTER_LINEAR
            result = cv2.warpAffine(self.picture, matrix, self.size, flags=flags, borderMode=cv2.BORDER_REFLECT_101)
        if self.focus[0]:
            result = _defocused(result, self._blur(now))
        result = motion_blurred(result, velocity, self.camera.exposure)
        for actor in self.actors:
            self._draw(result, actor, now)
        return result

    def later(self, seconds: float) -> PictureShot:
        """The same scene after some time."""
        return replace(self, start_s=self.start_s + seconds)

    def _blur(self, now: float) -> float:
        strength, hz = self.focus
        return strength * self.size[0] / 320 * max(0.0, math.sin(2 * math.pi * hz * now)) ** 2

    def _placed(self, now: float, nearness: float, actor: Actor | None) -> tuple[np.ndarray, np.ndarray]:
        """The affine map of the picture or an actor, and its velocity in pixels a frame."""
        ends = [self._map(at, nearness, actor) for at in (now - self.frame_s / 2, now + self.frame_s / 2)]
        middle = self._middle(actor)
        velocity = ends[1] @ middle - ends[0] @ middle
        return sheared(self._map(now, nearness, actor), velocity, self.camera.readout, self.size), velocity

    def _middle(self, actor: Actor | None) -> np.ndarray:
        pixels = self.picture if actor is None else actor.pixels
        return np.array([pixels.shape[1] / 2, pixels.shape[0] / 2, 1.0])

    def _map(self, now: float, nearness: float, actor: Actor | None) -> np.ndarray:
        pose = self.camera.pose(now)
        if actor is None:
            middle = self.picture.shape[1] / 2, self.picture.shape[0] / 2
            return placement(pose, middle, self.px_per_width, self.size)
        origin = self.camera.pose(0.0)
        place = actor.place(now)
        zoom = (pose.zoom / origin.zoom) ** nearness
        px_per_width = actor.pixels.shape[0] / actor.height * self.size[0] / self.size[1]
        middle = actor.pixels.shape[1] / 2, actor.pixels.shape[0] / 2
        # In the actor's own pixels a frame width is `px_per_width`, whatever its distance.
        seen = Pose(
            (pose.x - origin.x) * nearness - place[0], (pose.y - origin.y) * nearness - place[1], zoom, pose.roll
        )
        return placement(seen, middle, px_per_width, self.size)

    def _warped(self, matrix: np.ndarray, now: float) -> np.ndarray:
        inverse = cv2.invertAffineTransform(matrix).astype(np.float32)
        down, across = _grid(self.size[1], self.size[0])
        x = inverse[0, 0] * across + inverse[0, 1] * down + inverse[0, 2]
        y = inverse[1, 0] * across + inverse[1, 1] * down + inverse[1, 2]
        moved_x, moved_y = x.copy(), y.copy()
        for one in self.living:
            centre_x = self.picture.shape[1] / 2 + one.centre[0] * self.px_per_width
            centre_y = self.picture.shape[0] / 2 + one.centre[1] * self.px_per_width
            radius = one.radius * self.px_per_width
            weight = np.exp(-((((x - centre_x) ** 2 + (y - centre_y) ** 2) / radius**2) ** 2))
            angle = 2 * math.pi * one.hz * now + one.phase
            reach = one.reach * self.px_per_width
            turn = 0.35 * math.sin(0.7 * angle + 1)
            moved_x -= weight * (reach * math.sin(angle) - turn * (y - centre_y))
            moved_y -= weight * (0.5 * reach * math.sin(1.37 * angle + 2) + turn * (x - centre_x))
        return cv2.remap(self.picture, moved_x, moved_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

    def _draw(self, frame: np.ndarray, actor: Actor, now: float) -> None:
        matrix, velocity = self._placed(now, actor.nearness, actor)
        pixels = actor.pixels
        if abs(matrix[0, 0]) < 0.6:
            pixels, matrix = _smaller(pixels, matrix)
        pixels = gestured(pixels, actor.gesture, now)
        height, width = pixels.shape[:2]
        corners = matrix @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
        margin = 3 + np.abs(velocity)
        low = np.floor(np.maximum(corners.min(1) - margin, 0)).astype(int)
        high = np.ceil(np.minimum(corners.max(1) + margin, self.size)).astype(int)
        if (high <= low).any():
            return
        matrix[:, 2] -= low
        drawn = cv2.warpAffine(pixels, matrix, tuple((high - low).tolist()), flags=cv2.INTER_LINEAR)
        drawn = motion_blurred(drawn, velocity, self.camera.exposure)
        behind = frame[low[1] : high[1], low[0] : high[0]]
        rest = cv2.merge([255 - drawn[..., 3]] * 3)
        behind[:] = cv2.add(cv2.multiply(behind, rest, scale=1 / 255), drawn[..., :3])


@dataclass(frozen=True)
class ClipShot:
    """A real clip, played to and fro beyond its end."""

    words: str
    frames: list[np.ndarray]
    first: int = 0

    def frame(self, time_s: float, number: int) -> np.ndarray:
        """See Shot."""
        del time_s
        at = (self.first + number) % max(2 * len(self.frames) - 2, 1)
        return self.frames[min(at, 2 * len(self.frames) - 2 - at)].copy()


def gestured(pixels: np.ndarray, gesture: Gesture, now: float) -> np.ndarray:
    """The cut-out with its upper part turned and its lower parts swung."""
    if not gesture.turn and not gesture.swing:
        return pixels
    height, width = pixels.shape[:2]
    down, across = _grid(height, width)
    upper = np.clip(1.15 - 2.6 * down / height, 0, 1)
    lower = np.clip(2.4 * down / height - 1.3, 0, 1)
    turn = gesture.turn * math.sin(2 * math.pi * gesture.turn_hz * now + gesture.phase)
    swing = (
        gesture.swing
        * width
        * np.sin(
            np.float32(2 * math.pi * gesture.swing_hz * now)
            + np.float32(math.pi) * (across > width / 2)
            + 4 * across / width
        )
    )
    x = across + upper * turn * (down - 0.4 * height) + lower * swing
    y = down - upper * turn * (across - width / 2)
    return cv2.remap(pixels, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


@functools.lru_cache(maxsize=16)
def _grid(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every pixel."""
    down, across = np.mgrid[:height, :width].astype(np.float32)
    return down, across


def _smaller(pixels: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both at the size that is drawn, so that nothing aliases."""
    scale = math.hypot(matrix[0, 0], matrix[1, 0]) * 1.2
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    matrix = matrix.copy()
    matrix[:, :2] /= scale
    return small, matrix


def _defocused(frame: np.ndarray, sigma: float) -> np.ndarray:
    return cv2.GaussianBlur(frame, (0, 0), sigma) if sigma > 0.4 else frame
