"""What is true of rendered frames: motion of every visible point, object tracks, camera poses."""

from collections.abc import Sequence

import torch
from torch import Tensor

from videoldm.synthetic.camera import Pose, Size, directions, pixel_grid, project
from videoldm.synthetic.stage import Stage
from videoldm.synthetic.trace import Hits, trace
from videoldm.synthetic.vector import Vector


def motion_to_next(stage: Stage, rays: Vector, hits: Hits, size: Size) -> tuple[Tensor, Tensor]:
    """Displacement `f 2 h w` from the frame before frame `f` to frame `f`, and its validity `f h w`.

    Both are given on the pixels of the frame before; the values of a clip's first frame mean nothing. A point is valid
    if a ray from the next camera to where it went meets it, and nothing else, inside the frame.
    """
    frames = torch.arange(rays.x.shape[0], device=rays.x.device)
    before = torch.where(frames % stage.num_frames == 0, frames, frames - 1)
    offset = _offsets_in_next_frame(stage, rays, hits, size).at(before)
    x, y, depth = project(stage.view, offset, size)
    is_inside = (depth > 0) & (x >= 0) & (x <= size.width) & (y >= 0) & (y <= size.height)
    again = trace(stage.view, directions(stage.view, x, y, size), stage.bodies)
    index = hits.object_index[before]
    is_same = (again.object_index == index) & ((index < 0) | ((again.depth - depth).abs() < 0.02 * depth))
    at_x, at_y = pixel_grid(size, 1, x.device)
    return torch.stack([x - at_x, y - at_y], dim=1), is_inside & is_same


def _offsets_in_next_frame(stage: Stage, rays: Vector, hits: Hits, size: Size) -> Vector:
    """Where each visible point is in the next frame, relative to that frame's camera; for sky, its direction."""
    frames = torch.arange(rays.x.shape[0], device=rays.x.device)
    following = torch.where(frames % stage.num_frames == stage.num_frames - 1, frames, frames + 1)
    next_position = stage.view.position.at(following)
    static = rays.times(hits.depth).plus(stage.view.position.minus(next_position).spread())
    is_sky = hits.object_index < 0
    offset = Vector(*(torch.where(is_sky, sky, point) for sky, point in zip(rays, static, strict=True)))
    for patch in hits.patches:
        seen = patch.visible(hits)
        bodies, entry = seen.bodies, seen.bodies.following[seen.entry]
        point = bodies.rotation.at(entry).apply(seen.point.times(bodies.size[entry])).plus(bodies.centre.at(entry))
        point = point.minus(next_position.at(seen.pixel // (size.height * size.width)))
        for target, value in zip(offset, point, strict=True):
            target.view(-1)[seen.pixel] = value
    return offset


def tracks(stage: Stage, num_objects: int, size: Size) -> Tensor:
    """Image points `f n 2` of the objects' centres, NaN where there is no such object."""
    result = torch.full((len(stage.poses), num_objects, 2), float("nan"), device=stage.device)
    for bodies in stage.bodies:
        view = stage.view.at(bodies.frame)
        x, y, _ = project(view, bodies.centre.minus(view.position).spread(), size)
        result[bodies.frame, bodies.slot] = torch.stack([x, y], dim=-1).reshape(-1, 2)
    return result


def pose_matrices(poses: Sequence[Pose], device: torch.device) -> Tensor:
    """Camera-to-world matrices `f 4 4`."""
    axes = [[p.right, p.down, p.forward, p.position] for p in poses]
    top = torch.tensor(axes, dtype=torch.float32, device=device).transpose(1, 2)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], device=device).expand(len(poses), 1, 4)
    return torch.cat([top, bottom], dim=1)
