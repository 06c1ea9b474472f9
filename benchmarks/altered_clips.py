"""Clips out of photographs and real clips, altered copies of them, and other clips that look alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import cv2
import numpy as np
from real_footage.sources import Sources

SHORT_SIDE = 360
WIDTH = 640
CLIPS_A_PICTURE = 3
Frames = list[np.ndarray]


class SomeClip(NamedTuple):
    """Three frames; clips with the same `group` are copies of one, those with the same `place` show one photograph."""

    group: str
    place: str
    change: str
    frames: Frames


def coded(frame: np.ndarray, quality: int) -> np.ndarray:
    """Return a frame after JPEG compression."""
    return cv2.imdecode(cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def _scaled(frame: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)


def _cropped(frame: np.ndarray, share: float) -> np.ndarray:
    height, width = frame.shape[:2]
    top, left = int(height * share / 2), int(width * share / 2)
    return frame[top : height - top, left : width - left]


def _light(frame: np.ndarray, gain: float, gamma: float, colours: tuple[float, float, float]) -> np.ndarray:
    levels = (frame.astype(np.float32) / 255) ** gamma * gain * np.array(colours, np.float32)
    return (levels.clip(0, 1) * 255).astype(np.uint8)


def _saturated(frame: np.ndarray, factor: float) -> np.ndarray:
    grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)[..., None].astype(np.float32)
    return (grey + (frame - grey) * factor).clip(0, 255).astype(np.uint8)


def _with_bars(frame: np.ndarray) -> np.ndarray:
    edge = frame.shape[0] // 8
    return cv2.copyMakeBorder(frame, edge, edge, 0, 0, cv2.BORDER_CONSTANT)


def _with_caption(frame: np.ndarray) -> np.ndarray:
    marked = frame.copy()
    height, width = frame.shape[:2]
    size, thick = height / 400, max(1, height // 150)
    texts = {"LIVE 24": (width // 30, height // 8), "and then they went home again": (width // 8, height * 9 // 10)}
    for text, place in texts.items():
        cv2.putText(marked, text, place, cv2.FONT_HERSHEY_DUPLEX, size * 1.3, (0, 0, 0), thick * 3, cv2.LINE_AA)
        cv2.putText(marked, text, place, cv2.FONT_HERSHEY_DUPLEX, size * 1.3, (255, 255, 255), thick, cv2.LINE_AA)
    return marked


def _noisy(frame: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(frame.shape[1]).normal(0, 12, frame.shape)
    return (frame + noise).clip(0, 255).astype(np.uint8)


def _all_at_once(frame: np.ndarray) -> np.ndarray:
    smaller = _cropped(_scaled(frame, 480, 270), 0.05)
    return coded(_with_caption(_light(smaller, 0.9, 1.1, (0.92, 1, 1.05))), 40)


CHANGES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "compressed": lambda frame: coded(frame, 30),
    "strongly compressed": lambda frame: coded(frame, 10),
    "320x180": lambda frame: coded(_scaled(frame, 320, 180), 60),
    "160x90": lambda frame: coded(_scaled(frame, 160, 90), 50),
    "5 % cropped": lambda frame: coded(_cropped(frame, 0.05), 80),
    "12 % cropped": lambda frame: coded(_cropped(frame, 0.12), 80),
    "darker": lambda frame: _light(frame, 0.75, 1.2, (1, 1, 1)),
    "lighter": lambda frame: _light(frame, 1.1, 0.75, (1, 1, 1)),
    "warmer": lambda frame: _light(frame, 1, 1, (0.8, 1, 1.12)),
    "pale": lambda frame: _saturated(frame, 0.45),
    "black and white": lambda frame: _saturated(frame, 0),
    "black bars": _with_bars,
    "text": _with_caption,
    "noise": _noisy,
    "4:3": lambda frame: _scaled(frame, 480, 360),
    "all at once": _all_at_once,
}
"""Each is applied to all frames of a clip."""
WITH_TEXT = {"text", "all at once"}
"""Changes that put the same words on every clip."""


def clips(sources: Sources, seed: int) -> Iterator[SomeClip]:
    """Yield clips and their copies; views of one photograph share a quarter at most.

    Takes of one film are different shots.
    """
    random = np.random.default_rng(seed)
    for name in sources.pictures:
        picture = sources.picture(name)
        for number, window in enumerate(_windows(picture, random)):
            frames = _panned(picture, window, random)
            yield from _with_copies(f"{name} {number}", name, frames)
    for take in sources.takes:
        shown = sources.take(take, (WIDTH, SHORT_SIDE))
        whole, trimmed = (_first_middle_last(one) for one in (shown, shown[6:-6]))
        group = f"{take.file} {take.first}"
        yield from _with_copies(group, take.file, whole)
        yield SomeClip(group, take.file, "a quarter second shorter", [coded(frame, 50) for frame in trimmed])


def _with_copies(group: str, place: str, frames: Frames) -> Iterator[SomeClip]:
    yield SomeClip(group, place, "original", frames)
    for change, altered in CHANGES.items():
        yield SomeClip(group, place, change, [altered(frame) for frame in frames])


def _first_middle_last(frames: Frames) -> Frames:
    return [frames[0], frames[len(frames) // 2], frames[-1]]


def views_of(
    picture: np.ndarray, random: np.random.Generator, *, least_width: int, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """Yield views of a picture that overlap little, at that size, from those with at least that many pixels across."""
    for left, top, wide in _windows(picture, random):
        if wide >= least_width:
            view = picture[int(top) : int(top + wide * 9 / 16), int(left) : int(left + wide)]
            yield cv2.resize(view, size, interpolation=cv2.INTER_AREA if wide > size[0] else cv2.INTER_CUBIC)


def _windows(picture: np.ndarray, random: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return left, top and width of views of a picture that overlap little."""
    height, width = picture.shape[:2]
    found: list[tuple[float, float, float]] = []
    for _ in range(200):
        wide = random.uniform(0.42, 0.6) * min(width, height * 16 / 9)
        left, top = random.uniform(0, width - wide * 1.05), random.uniform(0, height - wide * 9 / 16 * 1.02)
        one = (left, top, wide)
        if left >= 0 and top >= 0 and all(_overlap(one, other) <= 0.25 for other in found):
            found.append(one)
        if len(found) == CLIPS_A_PICTURE:
            break
    return found


def _overlap(a: tuple[float, float, float], b: tuple[float, float, float]) -> float:
    """Return the shared area over that of the smaller view."""
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[2] * 9 / 16, b[1] + b[2] * 9 / 16) - max(a[1], b[1])
    return max(0.0, across) * max(0.0, down) / (min(a[2], b[2]) ** 2 * 9 / 16)


def _panned(picture: np.ndarray, window: tuple[float, float, float], random: np.random.Generator) -> Frames:
    """Return three frames of a slow pan."""
    left, top, wide = window
    step = random.uniform(-0.02, 0.02, 2) * wide
    frames: Frames = []
    for number in range(3):
        x, y = left + step[0] * (number - 1), top + step[1] * (number - 1)
        x, y = max(0, int(x)), max(0, int(y))
        view = picture[y : y + int(wide * 9 / 16), x : x + int(wide)]
        interpolation = cv2.INTER_AREA if wide > WIDTH else cv2.INTER_CUBIC
        frames.append(cv2.resize(view, (WIDTH, SHORT_SIDE), interpolation=interpolation))
    return frames
