"""What a camera's electronics, lamps and editors add to frames: exposure, colour, grain, flashes, bars, subtitles."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

LEVELS = np.arange(256, dtype=np.float32) / 255


@dataclass(frozen=True)
class Look:
    """Gain, gamma and colour balance of a shot, and how they drift: amplitudes and frequencies in hertz."""

    gain: float = 1.0
    gamma: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    exposure_drift: float = 0.0
    exposure_hz: float = 0.1
    balance_drift: float = 0.0
    balance_hz: float = 0.07
    phase: float = 0.0

    def applied(self, frame: np.ndarray, time_s: float) -> np.ndarray:
        """The frame as the sensor's electronics show it at a time of the shot."""
        drift = math.exp(self.exposure_drift * math.sin(2 * math.pi * self.exposure_hz * time_s + self.phase))
        warm = self.balance_drift * math.sin(2 * math.pi * self.balance_hz * time_s + 2 * self.phase)
        gains = np.array(self.balance) * self.gain * drift * np.array([1 - warm, 1, 1 + warm])
        if np.allclose(gains, 1) and self.gamma == 1:
            return frame
        table = (np.clip(LEVELS[:, None] * gains, 0, 1) ** self.gamma * 255).round().astype(np.uint8)
        return cv2.LUT(frame, table[None])


@dataclass(frozen=True)
class Light:
    """Light on the scene from frame `first` to before `end`: a flash, a strobe, a police car's lamps.

    Or a lamp that is switched on (off, with a negative strength) at `first`, and stays so.
    """

    kind: str
    first: int
    end: int
    strength: float
    period: int = 4

    def applied(self, frame: np.ndarray, number: int) -> np.ndarray:
        """The lit frame."""
        if number < self.first or (number >= self.end and self.kind != "lamp"):
            return frame
        since = number - self.first
        if self.kind == "flash":
            power = self.strength * 0.55**since
            return cv2.convertScaleAbs(frame, alpha=1 + 2 * power, beta=130 * power)
        if self.kind == "lamp":
            return cv2.convertScaleAbs(frame, alpha=1 + self.strength)
        is_on = since % self.period < max(1, self.period // 2)
        if self.kind == "strobe":
            return (
                cv2.convertScaleAbs(frame, alpha=1 + self.strength, beta=50 * self.strength)
                if is_on
                else _dimmed(frame)
            )
        gains = (0.75, 0.55, 1 + self.strength) if is_on else (1 + self.strength, 0.55, 0.75)
        return np.clip(frame * np.float32(gains), 0, 255).astype(np.uint8)


def _dimmed(frame: np.ndarray) -> np.ndarray:
    return cv2.convertScaleAbs(frame, alpha=0.45)


class Grain:
    """Noise of a sensor with a standard deviation in levels; a new piece of one tile for every frame."""

    def __init__(self, random: np.random.Generator, sigma: float, size: tuple[int, int]):
        self._random, self._sigma = random, sigma
        self._size = size
        if sigma:
            grey = random.normal(0, sigma, (size[1] + 64, size[0] + 64, 1))
            self._tile = (grey + random.normal(0, sigma / 2, (size[1] + 64, size[0] + 64, 3))).round().astype(np.int16)

    def applied(self, frame: np.ndarray) -> np.ndarray:
        """The frame with noise."""
        if not self._sigma:
            return frame
        top, left = self._random.integers(0, 64, 2)
        noise = self._tile[top : top + self._size[1], left : left + self._size[0]]
        return cv2.add(frame, noise, dtype=cv2.CV_8U)


@dataclass(frozen=True)
class Overlay:
    """What stays the same over all shots: bars above and below (part of the height), a station's logo, subtitles."""

    bars: float = 0.0
    has_logo: bool = False
    subtitles: tuple[tuple[int, int, str], ...] = ()

    def applied(self, frame: np.ndarray, number: int) -> np.ndarray:
        """The frame with all of them."""
        height, width = frame.shape[:2]
        if self.bars:
            rows = round(self.bars * height)
            frame[:rows] = 16
            frame[height - rows :] = 16
        scale = height / 360
        if self.has_logo:
            cv2.putText(
                frame,
                "R7",
                (round(width * 0.86), round(height * 0.14)),
                cv2.FONT_HERSHEY_DUPLEX,
                scale,
                (225,) * 3,
                1,
                cv2.LINE_AA,
            )
        for first, end, text in self.subtitles:
            if first <= number < end:
                place = round(width * 0.5 - len(text) * 8.5 * scale), round(height * 0.92)
                cv2.putText(
                    frame,
                    text,
                    place,
                    cv2.FONT_HERSHEY_SIMPLEX,
                    0.9 * scale,
                    (240,) * 3,
                    max(1, round(2 * scale)),
                    cv2.LINE_AA,
                )
        return frame
