"""Random scenes, each a function of (seed, split, index) alone."""

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from videoldm.core.errors import InputError
from videoldm.core.random import python_random
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.elements import NOMINAL_S, UNIT_REST, Backdrop, CameraPath, Scene, SceneObject, Vec3
from videoldm.synthetic.vocabulary import (
    CAMERA_MOTIONS,
    COLOURS,
    GROUND_TONES,
    GROUNDS,
    OBJECT_MOTIONS,
    SHAPES,
    SKY_TONES,
    SPLITS,
    TEXTURES,
    CameraMotion,
    Colour,
    Ground,
    ObjectMotion,
    Rgb,
    Shape,
    Texture,
)

T = TypeVar("T")

FRAME_HEIGHT = 3.0
"""Height of the frame in world units at the camera's usual distance."""

MOVING: tuple[ObjectMotion, ...] = tuple(motion for motion in OBJECT_MOTIONS if motion != "still")

# Motions that together with the pan would carry the object out of the frame.
OPPOSED: Mapping[CameraMotion, ObjectMotion] = {"pan_left": "right", "pan_right": "left"}


@dataclass(frozen=True)
class _Cast:
    """The named contents of a scene; a ground of None is chosen at random."""

    shape: Shape
    colour: Colour
    motion: ObjectMotion
    camera: CameraMotion
    ground: Ground | None


def sample_scene(seed: int, split: str, index: int, options: WorldOptions | None = None) -> Scene:
    """Draw scene number `index` of `split` ("train", "validation" or "test"), which are independent random streams."""
    if split not in SPLITS:
        raise InputError(f"split is {split!r}, it should be one of {', '.join(SPLITS)}")
    options = options or WorldOptions()
    draw = python_random(seed, f"synthetic/scene/{split}", index)
    is_static = draw.random() < options.static_camera
    camera: CameraMotion = "static" if is_static else _weighted(draw, options.cameras)
    chance = options.moving_object if camera == "static" else options.moving_object_under_moving_camera
    choices: list[ObjectMotion] = [motion for motion in MOVING if motion != OPPOSED.get(camera)]
    motion = draw.choice(choices) if draw.random() < chance else "still"
    cast = _Cast(draw.choice(SHAPES), draw.choice(tuple(COLOURS)), motion, camera, None)
    return _compose(draw, cast, options)


def scene_from(
    *,
    shape: Shape,
    colour: Colour,
    motion: ObjectMotion = "still",
    camera: CameraMotion = "static",
    ground: Ground | None = None,
    seed: int = 0,
    options: WorldOptions | None = None,
) -> Scene:
    """Draw a scene with the named contents; `seed` determines the rest (size, position, light, ground if not given).

    Raises InputError for unknown names.
    """
    asked = {"shape": shape, "colour": colour, "motion": motion, "camera": camera, "ground": ground or "plain"}
    known = {"shape": SHAPES, "colour": COLOURS, "motion": OBJECT_MOTIONS, "camera": CAMERA_MOTIONS, "ground": GROUNDS}
    for name, value in asked.items():
        if value not in known[name]:
            raise InputError(f"{name} is {value!r}, it should be one of {', '.join(known[name])}")
    draw = python_random(seed, "synthetic/directed")
    cast = _Cast(shape, colour, motion, camera, ground)
    return _compose(draw, cast, options or WorldOptions(second_object=0.0))


def _compose(draw: random.Random, cast: _Cast, options: WorldOptions) -> Scene:
    path = _camera(draw, cast.camera)
    objects = [_main_object(draw, cast, options)]
    if draw.random() < options.second_object:
        objects += _second_object(draw, objects[0])
    return Scene(tuple(objects), path, _backdrop(draw, cast, options))


def _main_object(draw: random.Random, cast: _Cast, options: WorldOptions) -> SceneObject:
    shape, motion = cast.shape, cast.motion
    low, high = {"towards": (0.36, 0.44), "away": (0.42, 0.52), "up": (0.34, 0.42)}.get(motion, (0.38, 0.5))
    size = FRAME_HEIGHT * draw.uniform(low, high)
    across = draw.uniform(0.32, 0.48) * FRAME_HEIGHT
    deep = draw.uniform(1.4, 1.8)
    rise = draw.uniform(0.28, 0.36) * FRAME_HEIGHT
    travel: Vec3 = {
        "still": (0.0, 0.0, 0.0),
        "left": (-across, 0.0, 0.0),
        "right": (across, 0.0, 0.0),
        "towards": (0.0, 0.0, deep),
        "away": (0.0, 0.0, -deep),
        "up": (0.0, rise, 0.0),
    }[motion]
    side = 0.14 if travel[0] else 0.36
    x = -0.5 * travel[0] + draw.uniform(-side, side)
    z = -0.35 * travel[2] + draw.uniform(-0.15, 0.15)
    is_spinning = draw.random() < options.spinning_object
    # A spin shows on round bodies only if they are not smooth.
    looks = _looks(draw, shape, TEXTURES[1:] if is_spinning else TEXTURES)
    body = SceneObject(
        shape=shape,
        colour=cast.colour,
        motion=motion,
        size=size,
        position=(x, size * UNIT_REST[shape], z),
        velocity=(travel[0] / NOMINAL_S, travel[1] / NOMINAL_S, travel[2] / NOMINAL_S),
        **looks,
    )
    if not is_spinning:
        return body
    rate = draw.choice((-1, 1)) * draw.uniform(0.6, 1.1)
    if draw.random() >= options.tilted_spin:
        return dataclasses.replace(body, spin_rate=rate)
    tilt, heading = draw.uniform(0.15, 0.5), draw.uniform(0, 2 * math.pi)
    axis = (math.sin(tilt) * math.cos(heading), math.cos(tilt), math.sin(tilt) * math.sin(heading))
    # A tilted body would touch the ground, so it floats just high enough to turn freely.
    return dataclasses.replace(body, spin_rate=rate, spin_axis=axis, position=(x, body.bounding_radius + 0.02, z))


def _looks(draw: random.Random, shape: Shape, textures: Sequence[Texture] = TEXTURES) -> dict[str, Any]:
    yaw = draw.uniform(-math.pi, math.pi)
    if shape == "torus":  # it stands upright like a wheel, and is seen from where its hole shows
        yaw = draw.uniform(-0.6, 0.6)
    if shape == "cube":  # two of its sides show, not the square of one
        yaw = draw.randrange(4) * math.pi / 2 + draw.uniform(0.35, 1.2)
    return {
        "yaw": yaw,
        "tint": draw.uniform(0.92, 1.0),
        "texture": draw.choice(textures),
        "texture_contrast": draw.uniform(0.12, 0.25),
        "texture_frequency": draw.uniform(3.0, 6.0),
        "texture_phase": draw.random(),
    }


def _second_object(draw: random.Random, first: SceneObject) -> list[SceneObject]:
    """Draw a smaller still object of another colour and shape behind the first one's path, if there is room."""
    shapes: list[Shape] = [name for name in SHAPES if name != first.shape]
    colours: list[Colour] = [name for name in COLOURS if name != first.colour]
    shape, colour = draw.choice(shapes), draw.choice(colours)
    looks = _looks(draw, shape)
    size = first.size * draw.uniform(0.55, 0.75)
    for _ in range(20):
        x = draw.choice((-1, 1)) * draw.uniform(0.75, 1.35)
        position = (x, size * UNIT_REST[shape], draw.uniform(-1.8, -0.6))
        body = SceneObject(shape=shape, colour=colour, motion="still", size=size, position=position, **looks)
        gaps = [math.dist(position, first.centre(0.1 * step)) for step in range(31)]
        if min(gaps) > body.bounding_radius + first.bounding_radius:
            return [body]
    return []


def _camera(draw: random.Random, motion: CameraMotion) -> CameraPath:
    sign = -1.0 if motion.endswith("left") else 1.0
    pan = orbit = zoom = 0.0
    if motion.startswith("pan"):
        pan = sign * draw.uniform(0.24, 0.34)
    elif motion.startswith("orbit"):
        orbit = sign * math.radians(draw.uniform(36, 50))
    elif motion.startswith("zoom"):
        zoom = math.log(draw.uniform(1.4, 1.6)) * (1.0 if motion == "zoom_in" else -1.0)
    return CameraPath(
        motion=motion,
        distance=draw.uniform(3.5, 3.75),
        height=draw.uniform(1.35, 1.75),
        focal=1.2 * math.exp(-0.35 * zoom),
        orbit=-0.5 * orbit,
        orbit_rate=orbit / NOMINAL_S,
        pan=-0.5 * pan,
        pan_rate=pan / NOMINAL_S,
        zoom_rate=zoom / NOMINAL_S,
    )


def _backdrop(draw: random.Random, cast: _Cast, options: WorldOptions) -> Backdrop:
    usable: dict[Ground, float] = dict(options.grounds)
    if cast.camera != "static":
        usable.pop("plain", None)  # on it a pan could hardly be distinguished from a moving object
    drawn = _weighted(draw, usable)
    first, second = draw.sample(GROUND_TONES, 2)
    spread = 0.16 if _lightness(first) > _lightness(second) else -0.16
    horizon = draw.choice(SKY_TONES)
    heading, elevation = draw.uniform(-2.6, -0.5), draw.uniform(0.6, 1.1)
    return Backdrop(
        ground=cast.ground or drawn,
        tones=(_lighten(first, spread), _lighten(second, -spread)),
        sky=(horizon, _lighten(horizon, draw.uniform(-0.14, 0.12))),
        angle=draw.uniform(0, 2 * math.pi),
        period=draw.uniform(0.9, 1.5),
        offset=(draw.random(), draw.random()),
        picture=draw.randrange(2**31),
        hill_height=draw.uniform(0.04, 0.12),
        hill_phase=draw.random(),
        light=(
            math.cos(elevation) * math.cos(heading),
            math.sin(elevation),
            -math.cos(elevation) * math.sin(heading),
        ),
        ambient=draw.uniform(0.5, 0.62),
        shadow=draw.uniform(0.4, 0.6) if options.contact_shadow else 0.0,
    )


def _lightness(tone: Rgb) -> float:
    return sum(tone) / 3


def _lighten(tone: Rgb, amount: float) -> Rgb:
    red, green, blue = (min(max(value + amount, 0.0), 1.0) for value in tone)
    return red, green, blue


def _weighted(draw: random.Random, weights: Mapping[T, float]) -> T:
    return draw.choices(list(weights), list(weights.values()))[0]
