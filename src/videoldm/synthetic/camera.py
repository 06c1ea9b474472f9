"""The pinhole camera: its pose at a time, the rays of its pixels, the projection of points.

Camera axes are those of pictures: x right, y down, z forward; focal lengths are in frame heights. A ray's direction has
a forward component of 1, so a distance along it is a depth. Poses are computed with plain Python numbers, so that they
cannot depend on the rest of the batch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from videoldm.synthetic.elements import CameraPath, Vec3
from videoldm.synthetic.geometry import Rotation, Vector


class Size(NamedTuple):
    """Height and width of a frame in pixels."""

    height: int
    width: int


@dataclass(frozen=True)
class Pose:
    """A camera's position, the world directions of its axes, and its focal length in frame heights."""

    position: Vec3
    right: Vec3
    down: Vec3
    forward: Vec3
    focal: float


@dataclass(frozen=True)
class Cameras:
    """One camera for each frame, as tensors of shape `f`; `rotation` maps camera axes to world axes."""

    position: Vector
    rotation: Rotation
    focal: Tensor

    def at(self, index: Tensor) -> "Cameras":
        """Return the cameras of the frames `index`."""
        return Cameras(self.position.at(index), self.rotation.at(index), self.focal[index])


def pose(path: CameraPath, time_s: float) -> Pose:
    """Return the pose of the camera on `path` at `time_s`."""
    angle = path.orbit + path.orbit_rate * time_s
    x, y, z = path.target
    position = (x + path.distance * math.sin(angle), path.height, z + path.distance * math.cos(angle))
    # Heading 0 is along -z; a positive heading is a turn to the right.
    heading = -angle + path.pan + path.pan_rate * time_s
    pitch = math.atan2(path.height - y, path.distance)
    ch, sh, cp, sp = math.cos(heading), math.sin(heading), math.cos(pitch), math.sin(pitch)
    return Pose(
        position=position,
        right=(ch, 0.0, sh),
        down=(-sh * sp, -cp, ch * sp),
        forward=(sh * cp, -sp, -ch * cp),
        focal=path.focal * math.exp(path.zoom_rate * time_s),
    )


def cameras(poses: Sequence[Pose], device: torch.device) -> Cameras:
    """Convert poses to tensors."""
    rows = [(*p.position, *p.right, *p.down, *p.forward, p.focal) for p in poses]
    table = torch.tensor(rows, dtype=torch.float64).float().to(device)
    column = [table[:, i] for i in range(13)]
    right, down, forward = Vector(*column[3:6]), Vector(*column[6:9]), Vector(*column[9:12])
    rotation = Rotation(
        Vector(right.x, down.x, forward.x), Vector(right.y, down.y, forward.y), Vector(right.z, down.z, forward.z)
    )
    return Cameras(Vector(*column[0:3]), rotation, column[12])


def pixel_grid(size: Size, supersampling: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return sample positions in pixels, x as `1 1 w*s` and y as `1 h*s 1`; the frame spans 0 to width and height."""
    x = (torch.arange(size.width * supersampling, device=device, dtype=torch.float32) + 0.5) / supersampling
    y = (torch.arange(size.height * supersampling, device=device, dtype=torch.float32) + 0.5) / supersampling
    return x.reshape(1, 1, -1), y.reshape(1, -1, 1)


def directions(view: Cameras, x_px: Tensor, y_px: Tensor, size: Size) -> Vector:
    """Return the world directions, `f h w`, of the rays through image points in pixels."""
    scale = view.focal.reshape(-1, 1, 1) * size.height
    x, y = (x_px - size.width / 2) / scale, (y_px - size.height / 2) / scale
    rows = view.rotation.spread()
    return Vector(*(row.x * x + row.y * y + row.z for row in (rows.row_x, rows.row_y, rows.row_z)))


def project(view: Cameras, offset: Vector, size: Size) -> tuple[Tensor, Tensor, Tensor]:
    """Project points `f h w`, relative to each camera's position, to image points x and y in pixels and their depth."""
    local = view.rotation.spread().apply_inverse(offset)
    scale = view.focal.reshape(-1, 1, 1) * size.height
    depth = local.z
    safe = torch.where(depth.abs() < 1e-6, 1e-6, depth)
    return local.x / safe * scale + size.width / 2, local.y / safe * scale + size.height / 2, depth
