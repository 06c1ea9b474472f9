"""Scenes drawn at random: which picture, which cut-outs, which light, and shots of them by different cameras."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from real_footage.camera import Camera, Shake
from real_footage.looks import Light, Look
from real_footage.shots import Actor, ClipShot, Gesture, Living, PictureShot, Shot, Size
from real_footage.sources import LIVING, Sources

# How often each is met: how a camera moves, or a real clip.
MOVES = {
    "tripod": 0.12, "hand": 0.24, "heavy hand": 0.07, "pan": 0.15, "zoom": 0.1, "walk": 0.12, "whip": 0.04,
    "pixel pan": 0.05, "clip": 0.11,
}  # fmt: skip


LONG_S = 10.0


@dataclass(frozen=True)
class Take:
    """A shot with its look and the lights on it; `words` say what might mislead a detector."""

    shot: Shot
    look: Look
    lights: tuple[Light, ...]
    words: str


class Director:
    """Draws shots for one video."""

    def __init__(
        self, random: np.random.Generator, sources: Sources, size: Size, frame_s: float, moves: Sequence[str] = ()
    ):
        self.random, self.sources, self.size, self.frame_s = random, sources, size, frame_s
        self.moves = {move: MOVES[move] for move in moves or MOVES}

    def any_take(self, duration_s: float, move: str = "") -> Take:
        """A shot of a new scene."""
        random = self.random
        move = move or str(
            random.choice(list(self.moves), p=np.array(list(self.moves.values())) / sum(self.moves.values()))
        )
        look = self._look(is_dark=random.random() < 0.2)
        if move == "clip" and self.sources.takes:
            take = self.sources.takes[random.integers(len(self.sources.takes))]
            frames = self.sources.take(take, self.size)
            words = f"clip {take.file.split('.')[0]}"
            shot = ClipShot(words, frames, int(random.integers(max(1, len(frames) - 20))))
            return Take(shot, replace(look, gain=max(look.gain, 0.8)), self._lights(duration_s), words)
        shot = self._picture_shot("hand" if move == "clip" else move, duration_s)
        return Take(shot, look, self._lights(duration_s), shot.words)

    def other_angle(self, take: Take, duration_s: float, *, is_dark: bool) -> Take:
        """The same set and light from somewhere else; a clip from elsewhere in time."""
        random, shot = self.random, take.shot
        look = replace(take.look, phase=random.uniform(0, 6), gain=take.look.gain * random.uniform(0.93, 1.07))
        if isinstance(shot, ClipShot):
            first = int(shot.first + random.integers(len(shot.frames) // 4, len(shot.frames)))
            return Take(replace(shot, first=first), look, self._lights(duration_s), take.words)
        assert isinstance(shot, PictureShot)
        if is_dark:
            look = replace(look, gain=min(look.gain, random.uniform(0.1, 0.28)))
        zoom = shot.camera.zoom * math.exp(random.uniform(-0.35, 0.45))
        camera = self._camera(str(random.choice(["tripod", "hand", "pan"])), shot.picture, zoom, duration_s)
        actors = tuple(
            replace(
                one,
                start=(random.uniform(-0.3, 0.3), one.start[1] + random.uniform(-0.05, 0.05)),
                height=one.height * zoom / shot.camera.zoom * random.uniform(0.85, 1.2),
            )
            for one in shot.actors
        )
        return Take(replace(shot, camera=camera, actors=actors), look, (), take.words)

    def later(self, take: Take, seconds: float) -> Take:
        """The same shot, some time left out."""
        shot = take.shot
        if isinstance(shot, ClipShot):
            return replace(take, shot=replace(shot, first=shot.first + round(seconds / self.frame_s)), lights=())
        assert isinstance(shot, PictureShot)
        return replace(take, shot=shot.later(seconds), lights=())

    def _picture_shot(self, move: str, duration_s: float) -> PictureShot:
        random = self.random
        name = self.sources.pictures[random.integers(len(self.sources.pictures))]
        picture = self.sources.picture(name)
        visible = random.uniform(0.4, 0.85)
        width = round(self.size[0] / visible)
        height = max(round(picture.shape[0] * width / picture.shape[1]), round(self.size[1] * 1.1))
        is_smaller = width < picture.shape[1]
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_CUBIC)
        if random.random() < 0.5:
            picture = np.ascontiguousarray(picture[:, ::-1])
        words = move
        if move == "pixel pan":
            small = cv2.resize(picture, (max(8, width // 16), max(6, height // 16)), interpolation=cv2.INTER_AREA)
            picture = cv2.resize(small, (small.shape[1] * 16, small.shape[0] * 16), interpolation=cv2.INTER_NEAREST)
        camera = self._camera(move, picture, random.uniform(0.9, 1.1), duration_s)
        living = self._living(camera) if name in LIVING and move != "pixel pan" else ()
        actors = () if move == "pixel pan" else self._actors(move, duration_s)
        if living:
            words += ", head"
        if any(one.height > 1.2 for one in actors):
            words += ", passer"
        elif actors:
            words += ", actors"
        is_focused = random.random() < 0.08 and move != "pixel pan"
        focus = (random.uniform(2, 6), random.uniform(0.08, 0.5)) if is_focused else (0.0, 1.0)
        words += ", focus" * is_focused
        return PictureShot(
            words, picture, self.size[0], camera, self.size, self.frame_s, actors, living, focus,
            is_hard_edged=move == "pixel pan",
        )  # fmt: skip

    def _camera(self, move: str, picture: np.ndarray, zoom: float, duration_s: float) -> Camera:
        random = self.random
        width, height = picture.shape[1] / self.size[0], picture.shape[0] / self.size[0]
        room = max(0.0, (width - 1 / zoom) / 2), max(0.0, (height - self.size[1] / self.size[0] / zoom) / 2)
        strength = {"tripod": 0.0, "hand": random.uniform(0.006, 0.02), "heavy hand": random.uniform(0.03, 0.07)}
        shake = Shake.random(random, strength.get(move, random.choice([0.0, 0.004, 0.01])))
        centre = room[0] * random.uniform(-0.9, 0.9), room[1] * random.uniform(-0.9, 0.9)
        phase, exposure = random.uniform(0, 4), random.uniform(0.2, 0.9)
        kwargs = {"shake": shake, "phase": phase, "exposure": exposure, "readout": random.uniform(0, 0.9)}
        if move == "pan":
            angle = random.choice([0, 0, math.pi, random.uniform(0, 2 * math.pi)])
            reach = max(room[0], 0.3) * math.cos(angle), max(room[1], 0.1) * math.sin(angle)
            return Camera((0.0, 0.0), zoom, reach=reach, speed=math.exp(random.uniform(-4, -0.9)), **kwargs)
        if move == "pixel pan":
            kwargs |= {"shake": Shake.random(random, 0.0), "exposure": 0.0, "readout": 0.0}
            speed = 1 / self.size[0] / self.frame_s
            return Camera(
                (0.0, centre[1]), 1.0, reach=(speed * duration_s, 0.0), speed=speed, **kwargs | {"phase": 0.0}
            )
        if move == "zoom":
            speed = math.exp(random.uniform(-4, -1))
            return Camera(centre, zoom, zoom_reach=random.uniform(0.2, 0.5), zoom_speed=speed, **kwargs)
        if move == "walk":
            kwargs |= {"shake": Shake.random(random, random.uniform(0.01, 0.02))}
            return Camera(
                centre,
                zoom,
                step=random.uniform(0.008, 0.02),
                zoom_reach=0.45,
                zoom_speed=random.uniform(0.02, 0.12),
                **kwargs,
            )
        if move == "whip":
            whip = random.uniform(0.5, 1.3) * random.choice([-1, 1]), random.uniform(-0.15, 0.15)
            at_s = random.uniform(0.3, 0.7) * duration_s
            return Camera(centre, zoom, whip_at_s=at_s, whip=whip, whip_s=random.uniform(0.25, 0.8), **kwargs)
        return Camera(centre, zoom, **kwargs)

    def _actors(self, move: str, duration_s: float) -> tuple[Actor, ...]:
        random = self.random
        number = int(random.choice([0, 1, 2, 3], p=[0.4, 0.3, 0.2, 0.1]))
        number += 2 * (move == "walk") + 2 * (duration_s > LONG_S)
        actors = [self._actor(random.uniform(0.25, 0.8)) for _ in range(number)]
        if random.random() < 0.1:
            big = self._actor(random.uniform(1.3, 2.4))
            side, crossing_s = random.choice([-1, 1]), random.uniform(0.5, 2.5)
            # It stands outside of the frame until it crosses, once in every so many seconds.
            every_s = max(min(duration_s, 9.0), 2 * crossing_s)
            speed = side * 2.6 / crossing_s
            start = -side * 1.3 - speed * random.uniform(0.1, 0.5) * every_s
            actors.append(replace(big, start=(start, 0.1), speed=(speed, 0.0), nearness=1.3, every_s=every_s))
        return tuple(actors)

    def _actor(self, height: float) -> Actor:
        random = self.random
        pixels = self.sources.stamp(self.sources.stamps[random.integers(len(self.sources.stamps))])
        if random.random() < 0.5:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        is_walking = random.random() < 0.5
        gesture = Gesture(
            turn=random.uniform(0.1, 0.45), turn_hz=random.uniform(0.15, 0.9),
            swing=random.uniform(0.02, 0.12) * is_walking,
            swing_hz=random.uniform(0.7, 1.8), phase=random.uniform(0, 6),
        )  # fmt: skip
        start = random.uniform(-0.45, 0.45), random.uniform(0, 0.2)
        speed = (random.choice([-1, 1]) * random.uniform(0.03, 0.3) * is_walking, 0.0)
        return Actor(pixels, height, start, speed, random.uniform(1.0, 2.2), gesture, bob=0.012 * is_walking)

    def _living(self, camera: Camera) -> tuple[Living, ...]:
        random = self.random
        return tuple(
            Living(
                (camera.centre[0] + random.uniform(-0.2, 0.2), camera.centre[1] + random.uniform(-0.15, 0.1)),
                random.uniform(0.12, 0.3), random.uniform(0.03, 0.12), random.uniform(0.15, 0.8), random.uniform(0, 6),
            )
            for _ in range(random.integers(1, 3))
        )  # fmt: skip

    def _look(self, *, is_dark: bool) -> Look:
        random = self.random
        drifts = random.random() < 0.3
        return Look(
            gain=random.uniform(0.12, 0.35) if is_dark else random.uniform(0.75, 1.1),
            gamma=random.uniform(0.8, 1.25),
            balance=tuple(random.uniform(0.88, 1.12, 3)),
            exposure_drift=random.uniform(0.05, 0.45) * drifts,
            exposure_hz=random.uniform(0.05, 0.4),
            balance_drift=random.uniform(0.02, 0.15) * (random.random() < 0.2),
            phase=random.uniform(0, 6),
        )

    def _lights(self, duration_s: float) -> tuple[Light, ...]:
        """Seldom one in a short shot, more in a long one."""
        num_parts = max(1, round(duration_s / 8))
        part_s = duration_s / num_parts
        lights = (self._light(part_s, round(number * part_s / self.frame_s)) for number in range(num_parts))
        return tuple(light for light in lights if light)

    def _light(self, duration_s: float, start: int) -> Light | None:
        random, num_frames = self.random, round(duration_s / self.frame_s)
        chance = random.random()
        first = start + int(random.uniform(0.25, 0.7) * num_frames)
        if chance < 0.08:
            length = int(random.integers(1, max(2, round(0.12 / self.frame_s)) + 1))
            return Light("flash", first, first + length, random.uniform(0.4, 1.6))
        length = max(4, min(round(random.uniform(0.6, 2.5) / self.frame_s), start + num_frames - first - 6))
        period = max(2, round(random.uniform(0.07, 0.4) / self.frame_s))
        if chance < 0.11:
            return Light("strobe", first, first + length, random.uniform(0.3, 1.2), period)
        if chance < 0.13:
            return Light("police", first, first + length, random.uniform(0.2, 0.6), period)
        is_lamp = chance < 0.16
        return Light("lamp", first, first + 1, float(random.choice([-0.6, -0.4, 0.5, 0.9]))) if is_lamp else None
