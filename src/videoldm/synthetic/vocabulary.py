"""Vocabulary of the synthetic world: names of everything that can be in a scene."""

from typing import Literal, get_args

Shape = Literal["sphere", "cube", "cylinder", "cone", "torus"]
Colour = Literal["red", "orange", "yellow", "green", "cyan", "blue", "purple", "white"]
ObjectMotion = Literal["still", "left", "right", "towards", "away", "up"]
CameraMotion = Literal["static", "pan_left", "pan_right", "zoom_in", "zoom_out", "orbit_left", "orbit_right"]
Ground = Literal["plain", "checker", "stripes", "speckle", "photo"]
Texture = Literal["smooth", "stripes", "speckle"]
Split = Literal["train", "validation", "test"]

SHAPES: tuple[Shape, ...] = get_args(Shape)
OBJECT_MOTIONS: tuple[ObjectMotion, ...] = get_args(ObjectMotion)
CAMERA_MOTIONS: tuple[CameraMotion, ...] = get_args(CameraMotion)
GROUNDS: tuple[Ground, ...] = get_args(Ground)
TEXTURES: tuple[Texture, ...] = get_args(Texture)
SPLITS: tuple[Split, ...] = get_args(Split)

Rgb = tuple[float, float, float]

COLOURS: dict[Colour, Rgb] = {
    "red": (0.90, 0.10, 0.12),
    "orange": (1.00, 0.50, 0.05),
    "yellow": (0.98, 0.90, 0.10),
    "green": (0.12, 0.68, 0.15),
    "cyan": (0.10, 0.82, 0.86),
    "blue": (0.10, 0.22, 0.90),
    "purple": (0.60, 0.12, 0.78),
    "white": (0.97, 0.97, 0.97),
}
"""Base colour of each colour name, display RGB in [0, 1]."""

LABELS: dict[str, tuple[str, ...]] = {
    "shape": SHAPES,
    "colour": tuple(COLOURS),
    "motion": OBJECT_MOTIONS,
    "camera": CAMERA_MOTIONS,
}
"""Properties that a classifier can recognise, each with its classes in the order of their indices."""

GROUND_TONES: tuple[Rgb, ...] = (
    (0.50, 0.49, 0.47),
    (0.42, 0.36, 0.30),
    (0.60, 0.55, 0.46),
    (0.36, 0.37, 0.39),
    (0.56, 0.50, 0.44),
    (0.46, 0.44, 0.38),
)
"""Muted greys and browns, so that object colours stand out; display RGB in [0, 1]."""

SKY_TONES: tuple[Rgb, ...] = (
    (0.66, 0.70, 0.74),
    (0.74, 0.70, 0.66),
    (0.60, 0.62, 0.66),
    (0.70, 0.72, 0.70),
    (0.56, 0.56, 0.60),
)
"""Pale sky colours at the horizon, display RGB in [0, 1]."""


def mirrored(name: str) -> str:
    """Return the name after a left-right flip: left for right and right for left, others unchanged."""
    words = name.split("_")
    return "_".join({"left": "right", "right": "left"}.get(word, word) for word in words)
