"""Gradual transitions between two shots: dissolves, wipes, fades through a colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

EditKind = Literal["cut", "dissolve", "wipe", "fade"]


@dataclass(frozen=True)
class Edit:
    """From one shot to the next: a kind, how many frames it changes (0 for a cut), and how exactly.

    `style` is the curve of a dissolve, the shape of a wipe or the colour's name of a fade.
    """

    kind: EditKind
    num_frames: int
    style: str = ""
    words: str = ""

    def mixed(self, old: np.ndarray, new: np.ndarray, number: int) -> np.ndarray:
        """Frame `number` of those that it changes."""
        part = (number + 1) / (self.num_frames + 1)
        if self.kind == "dissolve":
            return _dissolved(old, new, part, self.style)
        if self.kind == "wipe":
            return _wiped(old, new, part, self.style)
        return _faded(old, new, part, self.style)


COLOURS = {"black": (0, 0, 0), "white": (255, 255, 255), "blue": (96, 40, 16), "amber": (24, 90, 170)}
SHAPES = ("left", "right", "down", "diagonal", "iris", "doors", "push", "clock")


def _dissolved(old: np.ndarray, new: np.ndarray, part: float, style: str) -> np.ndarray:
    if style == "eased":
        part = part * part * (3 - 2 * part)
    if style == "film":
        # In light rather than in codes, as an optical printer and some editors mix.
        table = (np.arange(256) / 255) ** 2.2
        light = (1 - part) * table[old] + part * table[new]
        return (light ** (1 / 2.2) * 255).round().astype(np.uint8)
    return cv2.addWeighted(old, 1 - part, new, part, 0)


def _faded(old: np.ndarray, new: np.ndarray, part: float, style: str) -> np.ndarray:
    colour = np.full_like(old, COLOURS[style])
    # A tenth of the time, the colour stands alone.
    if part < 0.45:
        return cv2.addWeighted(old, 1 - part / 0.45, colour, part / 0.45, 0)
    return colour if part < 0.55 else cv2.addWeighted(colour, (1 - part) / 0.45, new, 1 - (1 - part) / 0.45, 0)


def _wiped(old: np.ndarray, new: np.ndarray, part: float, style: str) -> np.ndarray:
    height, width = old.shape[:2]
    if style == "push":
        at = round(part * width)
        return np.hstack([old[:, at:], new[:, :at]])
    down, across = np.mgrid[:height, :width].astype(np.float32)
    x, y = across / width, down / height
    fields = {
        "left": 1 - x,
        "right": x,
        "down": y,
        "diagonal": (x + y) / 2,
        "iris": np.hypot(x - 0.5, y - 0.5) / 0.7072,
        "doors": np.abs(x - 0.5) * 2,
        "clock": (np.arctan2(x - 0.5, 0.5 - y) / (2 * np.pi)) % 1,
    }
    softness = 0.04
    weight = np.clip((part * (1 + softness) - fields[style]) / softness, 0, 1)[..., None]
    return (old + weight * (new.astype(np.float32) - old)).round().astype(np.uint8)
