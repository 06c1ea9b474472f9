"""Photographs and frames of real videos, panned at exactly known speeds, as the motion annotator sees them.

Pictures are mirrored at their edges, so that a pan never ends; each frame is exposed for a fiftieth of a second, has
noise, and is stored as JPEG. Companions are kept where the sidecar would keep them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import skimage

from videoldm.core.random import python_random
from videoldm.curation.annotators.annotator import ClipFrames, KeptFrame
from videoldm.curation.config import SidecarConfig
from videoldm.video.display import shrunk

HEIGHT, WIDTH = 240, 426
NUM_FRAMES = 5
SLOWEST, FASTEST = 0.02, 3.0
TUNED_ON = ("brick.png", "coffee.png", "grass.png", "rocket.jpg", "camera.png", "moon.png")
"""Thresholds were chosen with these pictures of scikit-image."""
PHOTOGRAPHS = (
    "astronaut.png", "chelsea.png", "gravel.png", "hubble_deep_field.jpg", "motorcycle_left.png", "retina.jpg",
    "ihc.png",
)  # fmt: skip
_EXPOSURE_S, _EXPOSURES = 0.02, 9
_RATES = (Fraction(24), Fraction(25), Fraction(30), Fraction(60))
_TICKS = 600


@dataclass(frozen=True)
class Panned:
    """A clip of a picture that moves at `speed` short sides a second."""

    clip: ClipFrames
    picture: str
    speed: float


def photographs(names: Sequence[str]) -> dict[str, np.ndarray]:
    """Pictures of scikit-image, by name, in colour."""
    folder = Path(skimage.__file__).parent / "data"
    return {name: _read(folder / name) for name in names}


def video_frames(folder: str | None, per_video: int = 3) -> dict[str, np.ndarray]:
    """Some frames of each video of a folder, without cuts between them to mind; empty without a folder."""
    found = {}
    for path in sorted(Path(folder).iterdir()) if folder else ():
        if path.suffix not in (".mp4", ".mkv"):
            continue
        with av.open(str(path)) as container:
            frames = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
        places = np.linspace(0, len(frames) - 1, per_video + 2).astype(int)[1:-1]
        found |= {f"{path.name} {place}": frames[place] for place in places}
    return found


def panned(pictures: dict[str, np.ndarray], *, seed: int, per_picture: int) -> Iterator[Panned]:
    """Clips with speeds spread evenly over a logarithmic scale, directions and frame rates drawn."""
    total = per_picture * len(pictures)
    speeds = np.geomspace(SLOWEST, FASTEST, total).tolist()
    python_random(seed, "benchmark/panned speeds", 0).shuffle(speeds)
    for number, speed in enumerate(speeds):
        name = list(pictures)[number % len(pictures)]
        yield Panned(_clip(pictures[name], speed, seed, number), name, speed)


def _clip(picture: np.ndarray, speed: float, seed: int, number: int) -> ClipFrames:
    draw, noise = python_random(seed, "benchmark/panned", number), np.random.default_rng((seed, number))
    scale = max(1.5 * HEIGHT / picture.shape[0], 1.5 * WIDTH / picture.shape[1])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    large = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=method)
    angle, rate, sigma = draw.uniform(0, 2 * math.pi), draw.choice(_RATES), draw.choice((0, 2, 4))
    start = np.array([draw.uniform(0, 2 * large.shape[1]), draw.uniform(0, 2 * large.shape[0])])
    velocity = speed * HEIGHT * np.array([math.cos(angle), math.sin(angle)])

    def frame(at_s: Fraction) -> np.ndarray:
        view = _exposed(large, start + velocity * float(at_s), velocity)
        return np.clip(view + noise.normal(0, sigma, view.shape), 0, 255).astype(np.uint8)

    sidecar = SidecarConfig()
    later = Fraction(math.ceil(sidecar.companion_s * rate)) / rate
    times = [Fraction(i, 2) for i in range(NUM_FRAMES)]
    companions = []
    for at_s in times:
        before, after = frame(at_s + later - 1 / rate), frame(at_s + later)
        if _change(before, after) >= sidecar.companion_change:
            companions.append(_kept_small(at_s + later, after, sidecar))
    return ClipFrames(
        clip_id="clip",
        time_base=Fraction(1, _TICKS),
        start_pts=0,
        end_pts=NUM_FRAMES * _TICKS // 2,
        width=WIDTH,
        height=HEIGHT,
        frames=[],
        small=[_kept_small(at_s, frame(at_s), sidecar) for at_s in times],
        companions=companions,
        metadata={},
        annotations={},
    )


def _exposed(large: np.ndarray, corner: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Return the mean of the views while the shutter is open."""
    times = np.linspace(-_EXPOSURE_S / 2, _EXPOSURE_S / 2, _EXPOSURES)
    return np.mean([_view(large, corner + velocity * at_s) for at_s in times], axis=0)


def _view(large: np.ndarray, corner: np.ndarray) -> np.ndarray:
    height, width = large.shape[:2]
    x = _mirrored(np.arange(WIDTH) + corner[0], width)
    y = _mirrored(np.arange(HEIGHT) + corner[1], height)
    return cv2.remap(large, *np.meshgrid(x, y), cv2.INTER_LINEAR).astype(np.float32)


def _mirrored(positions: np.ndarray, length: int) -> np.ndarray:
    """Return where each position lies in a picture that continues as its mirror image."""
    folded = np.mod(positions, 2 * (length - 1))
    return np.minimum(folded, 2 * (length - 1) - folded).astype(np.float32)


def _change(before: np.ndarray, after: np.ndarray) -> float:
    points = [cv2.cvtColor(cv2.resize(one, (64, 36)), cv2.COLOR_BGR2GRAY) for one in (before, after)]
    return float(cv2.absdiff(*points).mean())


def _kept_small(at_s: Fraction, picture: np.ndarray, sidecar: SidecarConfig) -> KeptFrame:
    short_side = sidecar.motion_short_side
    grey = shrunk(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), round(WIDTH * short_side / HEIGHT), short_side)
    file = cv2.imencode(".jpg", grey, [cv2.IMWRITE_JPEG_QUALITY, sidecar.jpeg_quality])[1].tobytes()
    return KeptFrame(round(at_s * _TICKS), True, file)


def _read(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert picture is not None, path
    return picture


def folder_of_videos() -> str | None:
    """The folder that the environment names."""
    return os.environ.get("VIDEOLDM_VIDEOS")
