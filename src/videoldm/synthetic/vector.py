"""Three coordinates as three tensors.

Only operations that IEEE 754 rounds exactly (+ - * / sqrt) are used here and in the renderer, so that a value does not
depend on where in a batch, or in a vector register, it was computed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Vector(NamedTuple):
    """Points or directions; the three tensors broadcast against each other."""

    x: Tensor
    y: Tensor
    z: Tensor

    def plus(self, other: Vector) -> Vector:
        """The sum."""
        return Vector(self.x + other.x, self.y + other.y, self.z + other.z)

    def minus(self, other: Vector) -> Vector:
        """The difference."""
        return Vector(self.x - other.x, self.y - other.y, self.z - other.z)

    def times(self, factor: Tensor | float) -> Vector:
        """Every coordinate times `factor`."""
        return Vector(self.x * factor, self.y * factor, self.z * factor)

    def dot(self, other: Vector) -> Tensor:
        """The inner product."""
        return self.x * other.x + self.y * other.y + self.z * other.z

    def length(self) -> Tensor:
        """The Euclidean length."""
        return torch.sqrt(self.dot(self))

    def at(self, index: Tensor) -> Vector:
        """Index all three tensors alike."""
        return Vector(self.x[index], self.y[index], self.z[index])

    def spread(self) -> Vector:
        """Tensors of shape `n` as `n 1 1`, to be combined with `n h w`."""
        return Vector(self.x.reshape(-1, 1, 1), self.y.reshape(-1, 1, 1), self.z.reshape(-1, 1, 1))


class Rotation(NamedTuple):
    """Rows of rotation matrices, each entry a tensor."""

    row_x: Vector
    row_y: Vector
    row_z: Vector

    def at(self, index: Tensor) -> Rotation:
        """Index all nine tensors alike."""
        return Rotation(self.row_x.at(index), self.row_y.at(index), self.row_z.at(index))

    def spread(self) -> Rotation:
        """Tensors of shape `n` as `n 1 1`, to be combined with `n h w`."""
        return Rotation(self.row_x.spread(), self.row_y.spread(), self.row_z.spread())

    def apply(self, vector: Vector) -> Vector:
        """The matrix times `vector`."""
        return Vector(self.row_x.dot(vector), self.row_y.dot(vector), self.row_z.dot(vector))

    def apply_inverse(self, vector: Vector) -> Vector:
        """The transposed matrix times `vector`."""
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = self
        x, y, z = vector
        return Vector(ax * x + bx * y + cx * z, ay * x + by * y + cy * z, az * x + bz * y + cz * z)
