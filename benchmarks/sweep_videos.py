"""One-shot videos of a camera that sweeps over a picture, fast and with turns and zooms, behind a moving object.

They contain no transition, so whatever is detected in them is false.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import skimage
from cut_videos import PICTURES
from PIL import Image, ImageOps

from videoldm.core.random import stream_key
from videoldm.synthetic.vocabulary import Split

HEIGHT, WIDTH = 144, 256
LENGTH_S = 14
RATES = (25, 30, 12, 50)


def make_sweeps(folder: Path, *, seed: int, num_videos: int, split: Split) -> Iterator[Path]:
    """The videos of `seed`; those that are in `folder` already are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(num_videos):
        path = folder / f"sweep_{split}_{seed}_{index}.mp4"
        if not path.exists():
            random = np.random.default_rng(list(stream_key(seed, f"benchmark/sweeps/{split}", index)))
            _encode(path, _frames(random, split, RATES[index % len(RATES)]), RATES[index % len(RATES)])
        yield path


def _frames(random: np.random.Generator, split: Split, rate: int) -> Iterator[np.ndarray]:
    behind, before = (_wide(name) for name in random.permutation(PICTURES[split])[:2])
    right, down = _path(random, rate, 300, 1, 0.5), _path(random, rate, 180, 1, 0.4)
    zoom, turn = np.exp(_path(random, rate, 0.5, 1.5, 0.3)), _path(random, rate, 12, 1.5, 0.3)
    thing_right, thing_down = _path(random, rate, 140, 1, 0.7), _path(random, rate, 80, 1, 0.5)
    light, size = 1 + _path(random, rate, 0.12, 2, 0.3), random.uniform(35, 75)
    y, x = np.mgrid[:HEIGHT, :WIDTH] - np.array([HEIGHT, WIDTH])[:, None, None] / 2
    for frame in range(LENGTH_S * rate):
        centre = behind.shape[1] / 2 + right[frame], behind.shape[0] / 2 + down[frame]
        place = cv2.getRotationMatrix2D(centre, turn[frame], 0.625 / zoom[frame])
        place[:, 2] += WIDTH / 2 - centre[0], HEIGHT / 2 - centre[1]
        pixels = cv2.warpAffine(behind, place, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101)
        corner = (
            WIDTH / 2 + thing_right[frame] - before.shape[1] / 4,
            HEIGHT / 2 + thing_down[frame] - before.shape[0] / 4,
        )
        thing = cv2.warpAffine(before, np.array([[0.5, 0, corner[0]], [0, 0.5, corner[1]]]), (WIDTH, HEIGHT))
        is_thing = (x - thing_right[frame]) ** 2 + (y - thing_down[frame]) ** 2 < size**2
        pixels = np.where(is_thing[..., None], thing, pixels) * light[frame]
        yield pixels.clip(0, 255).astype(np.uint8)


def _wide(name: str) -> np.ndarray:
    """A picture with its reflections around it."""
    with Image.open(Path(skimage.__file__).parent / "data" / name) as picture:
        pixels = np.asarray(ImageOps.fit(picture.convert("RGB"), (900, 600)))
    return cv2.copyMakeBorder(pixels, 400, 400, 600, 600, cv2.BORDER_REFLECT_101)


def _path(random: np.random.Generator, rate: int, reach: float, pace_s: float, far: float) -> np.ndarray:
    """A value for each frame that eases from one to the next of random goals, each with the chance `far` a far one."""
    times, goals = [0.0], [0.0]
    while times[-1] <= LENGTH_S:
        times.append(times[-1] + random.uniform(0.25, 1.5) * pace_s)
        is_far = random.random() < far
        goals.append(random.uniform(-reach, reach) if is_far else goals[-1] + random.normal(0, 0.15 * reach))
    seconds = np.arange(LENGTH_S * rate) / rate
    at = np.searchsorted(times, seconds, side="right") - 1
    start, end = np.array(times)[at], np.array(times)[at + 1]
    part = (seconds - start) / (end - start)
    part = part * part * (3 - 2 * part)
    return np.array(goals)[at] * (1 - part) + np.array(goals)[at + 1] * part


def _encode(path: Path, frames: Iterator[np.ndarray], rate: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for pixels in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
