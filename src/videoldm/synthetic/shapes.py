"""Signed distances of the shapes, at size 1 about their own centre: negative inside, positive outside."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from videoldm.synthetic.vector import Vector
from videoldm.synthetic.vocabulary import Shape

SPHERE_RADIUS = 0.5
CUBE_HALF_EDGE = 0.42
CYLINDER_RADIUS, CYLINDER_HALF_HEIGHT = 0.36, 0.5
CONE_RADIUS, CONE_HALF_HEIGHT = 0.54, 0.5
TORUS_MAJOR, TORUS_MINOR = 0.36, 0.14


def sphere(p: Vector) -> Tensor:
    """Distance to a sphere."""
    return p.length() - SPHERE_RADIUS


def cube(p: Vector) -> Tensor:
    """Distance to a cube with its faces across the axes."""
    x, y, z = p.x.abs() - CUBE_HALF_EDGE, p.y.abs() - CUBE_HALF_EDGE, p.z.abs() - CUBE_HALF_EDGE
    outside = Vector(x.clamp(min=0), y.clamp(min=0), z.clamp(min=0)).length()
    return outside + torch.maximum(x, torch.maximum(y, z)).clamp(max=0)


def cylinder(p: Vector) -> Tensor:
    """Distance to an upright cylinder."""
    side = torch.sqrt(p.x * p.x + p.z * p.z) - CYLINDER_RADIUS
    cap = p.y.abs() - CYLINDER_HALF_HEIGHT
    a, b = side.clamp(min=0), cap.clamp(min=0)
    return torch.sqrt(a * a + b * b) + torch.maximum(side, cap).clamp(max=0)


def cone(p: Vector) -> Tensor:
    """Distance to an upright cone, as a triangle in the half plane of (distance from the axis, height)."""
    height = 2 * CONE_HALF_HEIGHT
    u = torch.sqrt(p.x * p.x + p.z * p.z) - CONE_RADIUS
    v = p.y + CONE_HALF_HEIGHT
    # The slope runs from the base's rim, (u, v) = (0, 0), to the apex at (-radius, height).
    along = ((v * height - u * CONE_RADIUS) / (height * height + CONE_RADIUS * CONE_RADIUS)).clamp(0, 1)
    du, dv = u + along * CONE_RADIUS, v - along * height
    rim = u.clamp(min=0)
    squared = torch.minimum(du * du + dv * dv, rim * rim + v * v)
    is_inside = (u * height + v * CONE_RADIUS < 0) & (v > 0)
    distance = torch.sqrt(squared)
    return torch.where(is_inside, -distance, distance)


def torus(p: Vector) -> Tensor:
    """Distance to a torus that stands upright like a wheel: its axis is z."""
    ring = torch.sqrt(p.x * p.x + p.y * p.y) - TORUS_MAJOR
    return torch.sqrt(ring * ring + p.z * p.z) - TORUS_MINOR


DISTANCES: Mapping[Shape, Callable[[Vector], Tensor]] = {
    "sphere": sphere,
    "cube": cube,
    "cylinder": cylinder,
    "cone": cone,
    "torus": torus,
}


def normal(shape: Shape, p: Vector, step: float = 2e-3) -> Vector:
    """The unit outward normal near the surface: the distance's gradient from four taps on a tetrahedron."""
    distance = DISTANCES[shape]
    a = distance(Vector(p.x + step, p.y - step, p.z - step))
    b = distance(Vector(p.x - step, p.y - step, p.z + step))
    c = distance(Vector(p.x - step, p.y + step, p.z - step))
    d = distance(Vector(p.x + step, p.y + step, p.z + step))
    gradient = Vector(a - b - c + d, c + d - a - b, b + d - a - c)
    return gradient.times(1.0 / gradient.length().clamp(min=1e-12))
