"""Vectors and rotations of tensors, and signed distances of the shapes.

Only operations that IEEE 754 rounds exactly (+ - * / sqrt) are used here and in the renderer, so that a value does not
depend on its place in a batch or in a vector register. Distances are those of shapes at size 1 about their own centre:
negative inside, positive outside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from videoldm.synthetic.vocabulary import Shape

_SPHERE_RADIUS = 0.5
_CUBE_HALF_EDGE = 0.42
_CYLINDER_RADIUS, _CYLINDER_HALF_HEIGHT = 0.36, 0.5
_CONE_RADIUS, _CONE_HALF_HEIGHT = 0.54, 0.5
_TORUS_MAJOR, _TORUS_MINOR = 0.36, 0.14


class Vector(NamedTuple):
    """Points or directions; the three tensors broadcast against each other."""

    x: Tensor
    y: Tensor
    z: Tensor

    def plus(self, other: Vector) -> Vector:
        """Add two vectors."""
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def minus(self, other: Vector) -> Vector:
        """Subtract `other`."""
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def times(self, factor: Tensor | float) -> Vector:
        """Multiply every coordinate by `factor`."""
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    def dot(self, other: Vector) -> Tensor:
        """Compute the inner product."""
        return self.x * other.x + self.y * other.y + self.z * other.z

    def length(self) -> Tensor:
        """Compute the Euclidean length."""
        return torch.sqrt(self.dot(self))

    def at(self, index: Tensor) -> Vector:
        """Index all three tensors."""
        return Vector(self.x[index], self.y[index], self.z[index])

    def spread(self) -> Vector:
        """Reshape tensors of shape `n` to `n 1 1`, to combine them with `n h w`."""
        return Vector(self.x.reshape(-1, 1, 1), self.y.reshape(-1, 1, 1), self.z.reshape(-1, 1, 1))


class Rotation(NamedTuple):
    """Rows of rotation matrices, each entry a tensor."""

    row_x: Vector
    row_y: Vector
    row_z: Vector

    def at(self, index: Tensor) -> Rotation:
        """Index all nine tensors."""
        return Rotation(self.row_x.at(index), self.row_y.at(index), self.row_z.at(index))

    def spread(self) -> Rotation:
        """Reshape tensors of shape `n` to `n 1 1`, to combine them with `n h w`."""
        return Rotation(self.row_x.spread(), self.row_y.spread(), self.row_z.spread())

    def apply(self, vector: Vector) -> Vector:
        """Multiply the matrix by `vector`."""
        return Vector(self.row_x.dot(vector), self.row_y.dot(vector), self.row_z.dot(vector))

    def apply_inverse(self, vector: Vector) -> Vector:
        """Multiply the transposed matrix by `vector`."""
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = self
        x, y, z = vector
        return Vector(ax * x + bx * y + cx * z, ay * x + by * y + cy * z, az * x + bz * y + cz * z)


def sphere(p: Vector) -> Tensor:
    """Compute the distance to a sphere."""
    return p.length() - _SPHERE_RADIUS


def cube(p: Vector) -> Tensor:
    """Compute the distance to a cube aligned with the axes."""
    x, y, z = p.x.abs() - _CUBE_HALF_EDGE, p.y.abs() - _CUBE_HALF_EDGE, p.z.abs() - _CUBE_HALF_EDGE
    outside = Vector(x.clamp(min=0), y.clamp(min=0), z.clamp(min=0)).length()
    return outside + torch.maximum(x, torch.maximum(y, z)).clamp(max=0)


def cylinder(p: Vector) -> Tensor:
    """Compute the distance to an upright cylinder."""
    side = torch.sqrt(p.x * p.x + p.z * p.z) - _CYLINDER_RADIUS
    cap = p.y.abs() - _CYLINDER_HALF_HEIGHT
    a, b = side.clamp(min=0), cap.clamp(min=0)
    return torch.sqrt(a * a + b * b) + torch.maximum(side, cap).clamp(max=0)


def cone(p: Vector) -> Tensor:
    """Compute the distance to an upright cone: a triangle in the half plane of (distance from the axis, height)."""
    height = 2 * _CONE_HALF_HEIGHT
    u = torch.sqrt(p.x * p.x + p.z * p.z) - _CONE_RADIUS
    v = p.y + _CONE_HALF_HEIGHT
    # The slope runs from the base's rim, (u, v) = (0, 0), to the apex at (-radius, height).
    along = ((v * height - u * _CONE_RADIUS) / (height * height + _CONE_RADIUS * _CONE_RADIUS)).clamp(0, 1)
    du, dv = u + along * _CONE_RADIUS, v - along * height
    rim = u.clamp(min=0)
    squared = torch.minimum(du * du + dv * dv, rim * rim + v * v)
    is_inside = (u * height + v * _CONE_RADIUS < 0) & (v > 0)
    distance = torch.sqrt(squared)
    return torch.where(is_inside, -distance, distance)


def torus(p: Vector) -> Tensor:
    """Compute the distance to a torus that stands upright like a wheel: its axis is z."""
    ring = torch.sqrt(p.x * p.x + p.y * p.y) - _TORUS_MAJOR
    return torch.sqrt(ring * ring + p.z * p.z) - _TORUS_MINOR


DISTANCES: Mapping[Shape, Callable[[Vector], Tensor]] = {
    "sphere": sphere,
    "cube": cube,
    "cylinder": cylinder,
    "cone": cone,
    "torus": torus,
}


def normal(shape: Shape, p: Vector, step: float = 2e-3) -> Vector:
    """Compute the unit outward normal near the surface: the distance's gradient from four points of a tetrahedron."""
    distance = DISTANCES[shape]
    a = distance(Vector(p.x + step, p.y - step, p.z - step))
    b = distance(Vector(p.x - step, p.y - step, p.z + step))
    c = distance(Vector(p.x - step, p.y + step, p.z - step))
    d = distance(Vector(p.x + step, p.y + step, p.z + step))
    gradient = Vector(a - b - c + d, c + d - a - b, b + d - a - c)
    return gradient.times(1.0 / gradient.length().clamp(min=1e-12))
