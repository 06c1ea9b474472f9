"""A scene in numbers: objects and their motions, the ground, the light and the camera's path.

In the world y is up and the ground is at y = 0. At time `NOMINAL_S / 2` the camera looks along -z, so that +x is to the
right of the picture. Lengths are in world units, angles in radians, times in seconds.
"""

import dataclasses
import math
from dataclasses import dataclass

from videoldm.synthetic.vocabulary import CameraMotion, Colour, Ground, ObjectMotion, Rgb, Shape, Texture

Vec3 = tuple[float, float, float]
Mat3 = tuple[Vec3, Vec3, Vec3]

NOMINAL_S = 2.0
"""Time after which a motion is complete, and still inside the frame."""

UNIT_RADIUS: dict[Shape, float] = {
    "sphere": 0.5,
    "cube": 0.7275,
    "cylinder": 0.6162,
    "cone": 0.7360,
    "torus": 0.5,
}
"""Radius of a sphere that encloses each shape at size 1, about its centre."""

UNIT_REST: dict[Shape, float] = {"sphere": 0.5, "cube": 0.42, "cylinder": 0.5, "cone": 0.5, "torus": 0.5}
"""Height of the centre of each shape at size 1 when it rests on the ground."""


@dataclass(frozen=True)
class SceneObject:
    """One rigid body: `position` is its centre at time 0, `size` about its height."""

    shape: Shape
    colour: Colour
    motion: ObjectMotion
    size: float
    position: Vec3
    velocity: Vec3 = (0.0, 0.0, 0.0)
    yaw: float = 0.0
    spin_rate: float = 0.0
    spin_axis: Vec3 = (0.0, 1.0, 0.0)
    tint: float = 1.0
    texture: Texture = "smooth"
    texture_contrast: float = 0.2
    texture_frequency: float = 4.0
    texture_phase: float = 0.0

    @property
    def bounding_radius(self) -> float:
        """Radius of a sphere about the centre that encloses the body."""
        return self.size * UNIT_RADIUS[self.shape]

    def centre(self, time_s: float) -> Vec3:
        """Return the position of the centre at `time_s`."""
        x, y, z = (p + time_s * v for p, v in zip(self.position, self.velocity, strict=True))
        return x, y, z

    def rotation(self, time_s: float) -> Mat3:
        """Return the rotation from the body's own axes to the world's at `time_s`."""
        spin = _axis_rotation(self.spin_axis, self.spin_rate * time_s)
        return _matmul(spin, _axis_rotation((0.0, 1.0, 0.0), self.yaw))


@dataclass(frozen=True)
class CameraPath:
    """A pinhole camera that orbits its target, pans about the vertical and changes its focal length.

    `focal` is in frame heights; positive rates are an orbit to the right, a pan to the right, a zoom in.
    """

    motion: CameraMotion = "static"
    distance: float = 3.6
    height: float = 1.25
    target: Vec3 = (0.0, 0.62, 0.0)
    focal: float = 1.2
    orbit: float = 0.0
    orbit_rate: float = 0.0
    pan: float = 0.0
    pan_rate: float = 0.0
    zoom_rate: float = 0.0


@dataclass(frozen=True)
class Backdrop:
    """Ground, sky, hills and light; RGB are display values in [0, 1]."""

    ground: Ground
    tones: tuple[Rgb, Rgb]
    sky: tuple[Rgb, Rgb]
    angle: float = 0.0
    period: float = 1.0
    offset: tuple[float, float] = (0.0, 0.0)
    picture: int = 0
    hill_height: float = 0.1
    hill_phase: float = 0.0
    light: Vec3 = (-0.5, 0.75, 0.43)
    ambient: float = 0.5
    shadow: float = 0.5


@dataclass(frozen=True)
class Scene:
    """Everything to be rendered; captions describe the first object."""

    objects: tuple[SceneObject, ...]
    camera: CameraPath
    backdrop: Backdrop

    @property
    def is_moving(self) -> bool:
        """Whether anything in the picture changes with time."""
        path = self.camera
        rates = [path.orbit_rate, path.pan_rate, path.zoom_rate]
        return any(rates) or any(body.spin_rate or any(body.velocity) for body in self.objects)

    def with_speed(self, factor: float) -> "Scene":
        """Return the scene with every motion `factor` times as fast."""
        objects = tuple(
            dataclasses.replace(
                body,
                velocity=(body.velocity[0] * factor, body.velocity[1] * factor, body.velocity[2] * factor),
                spin_rate=body.spin_rate * factor,
            )
            for body in self.objects
        )
        path = self.camera
        camera = dataclasses.replace(
            path,
            orbit_rate=path.orbit_rate * factor,
            pan_rate=path.pan_rate * factor,
            zoom_rate=path.zoom_rate * factor,
        )
        return dataclasses.replace(self, objects=objects, camera=camera)


def _axis_rotation(axis: Vec3, angle: float) -> Mat3:
    """Return the rotation by `angle` about the unit vector `axis` (Rodrigues' formula)."""
    x, y, z = axis
    c, s = math.cos(angle), math.sin(angle)
    k = 1.0 - c
    return (
        (c + x * x * k, x * y * k - z * s, x * z * k + y * s),
        (y * x * k + z * s, c + y * y * k, y * z * k - x * s),
        (z * x * k - y * s, z * y * k + x * s, c + z * z * k),
    )


def _matmul(a: Mat3, b: Mat3) -> Mat3:
    """Multiply two 3x3 matrices."""

    def row(i: int) -> Vec3:
        x, y, z = (sum(a[i][k] * b[k][j] for k in range(3)) for j in range(3))
        return x, y, z

    return row(0), row(1), row(2)
