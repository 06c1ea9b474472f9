"""Rendering of scenes to clips, with ground truth for every pixel.

All arithmetic on pixels uses exactly rounded operations and no reductions, so a clip's bits do not depend on what else
is rendered with it.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from videoldm.synthetic.camera import Pose, Size, directions, pixel_grid, project
from videoldm.synthetic.elements import Scene
from videoldm.synthetic.geometry import Vector
from videoldm.synthetic.shading import shade
from videoldm.synthetic.trace import Hits, SceneBatch, scene_batches, trace

_USUAL_FPS = Fraction(7)


@dataclass(frozen=True)
class RenderedClips:
    """Clips with their ground truth; the maps hold for the surface point seen at each pixel's centre.

    pixels: in [-1, 1].
    motion: displacement to the next frame in pixels (x right, y down).
    motion_valid: whether the point is still visible there.
    object_index: -1 for sky, 0 for ground, 1 and up for objects.
    depth: along the camera's axis, 1e6 for sky.
    tracks: centres of the objects in pixels, NaN where a scene has fewer objects.
    poses: camera-to-world matrices; camera axes are x right, y down, z forward.
    """

    pixels: Float[Tensor, "b t 3 h w"]
    motion: Float[Tensor, "b t-1 2 h w"]
    motion_valid: Bool[Tensor, "b t-1 h w"]
    object_index: Int[Tensor, "b t h w"]
    depth: Float[Tensor, "b t h w"]
    tracks: Float[Tensor, "b t n 2"]
    poses: Float[Tensor, "b t 4 4"]
    focal_px: Float[Tensor, "b t"]


def render(
    scenes: Sequence[Scene],
    *,
    num_frames: int = 14,
    fps: Fraction | int = _USUAL_FPS,
    height: int = 64,
    width: int = 64,
    device: torch.device | str = "cpu",
    supersampling: int = 2,
    pictures: Float[Tensor, "n 3 y x"] | None = None,
    first_frame: int = 0,
) -> RenderedClips:
    """Render each scene with ground truth; frame `f` shows time `f / fps`.

    pictures: shown on grounds of kind "photo", in [-1, 1].
    Raises InputError for sizes below 1 or missing pictures.
    """
    num_objects = max((len(scene.objects) for scene in scenes), default=0)
    ready = scene_batches(
        scenes,
        first_frame=first_frame,
        num_frames=num_frames,
        fps=fps,
        size=Size(height, width),
        supersampling=supersampling,
        device=device,
    )
    parts = [_with_truth(batch, _pixels(batch, pictures), num_objects) for batch in ready]
    return RenderedClips(*(torch.cat(fields) for fields in zip(*(vars(part).values() for part in parts), strict=True)))


def render_pixels(
    scenes: Sequence[Scene],
    *,
    num_frames: int = 14,
    fps: Fraction | int = _USUAL_FPS,
    height: int = 64,
    width: int = 64,
    device: torch.device | str = "cpu",
    supersampling: int = 2,
    pictures: Float[Tensor, "n 3 y x"] | None = None,
    first_frame: int = 0,
) -> Float[Tensor, "b t 3 h w"]:
    """Render the pixels alone, which is faster than `render`."""
    ready = scene_batches(
        scenes,
        first_frame=first_frame,
        num_frames=num_frames,
        fps=fps,
        size=Size(height, width),
        supersampling=supersampling,
        device=device,
    )
    return torch.cat([_pixels(batch, pictures) for batch in ready])


def _pixels(batch: SceneBatch, pictures: Tensor | None) -> Tensor:
    x, y = pixel_grid(batch.size, batch.supersampling, batch.device)
    rays = directions(batch.view, x, y, batch.size)
    hits = trace(batch.view, rays, batch.bodies)
    colours = shade(batch, rays, hits, pictures)
    channels = torch.stack([_box_average(channel, batch.supersampling) for channel in colours], dim=1)
    pixels = channels.clamp(0, 1) * 2 - 1
    return pixels.reshape(len(batch.scenes), batch.num_frames, 3, *batch.size)


def _box_average(values: Tensor, factor: int) -> Tensor:
    first, *others = itertools.product(range(factor), repeat=2)
    total = values[:, first[0] :: factor, first[1] :: factor]
    for row, column in others:
        total = total + values[:, row::factor, column::factor]
    return total / factor**2


def _with_truth(batch: SceneBatch, pixels: Tensor, num_objects: int) -> RenderedClips:
    b, t, size = len(batch.scenes), batch.num_frames, batch.size
    x, y = pixel_grid(size, 1, batch.device)
    rays = directions(batch.view, x, y, size)
    hits = trace(batch.view, rays, batch.bodies)
    motion, is_valid = _motion_to_next(batch, rays, hits)
    return RenderedClips(
        pixels=pixels,
        motion=motion.reshape(b, t, 2, *size)[:, 1:],
        motion_valid=is_valid.reshape(b, t, *size)[:, 1:],
        object_index=hits.object_index.reshape(b, t, *size),
        depth=hits.depth.reshape(b, t, *size),
        tracks=_tracks(batch, num_objects).reshape(b, t, num_objects, 2),
        poses=_pose_matrices(batch.poses, batch.device).reshape(b, t, 4, 4),
        focal_px=batch.view.focal.reshape(b, t) * size.height,
    )


def _motion_to_next(batch: SceneBatch, rays: Vector, hits: Hits) -> tuple[Tensor, Tensor]:
    """Return the displacement `f 2 h w` from the previous frame to frame `f`, and its validity `f h w`.

    Both belong to the pixels of the previous frame; values of a clip's first frame are meaningless. A point is valid if
    a ray from the next camera to its new position hits it, and nothing else, inside the frame.
    """
    frames = torch.arange(rays.x.shape[0], device=rays.x.device)
    before = torch.where(frames % batch.num_frames == 0, frames, frames - 1)
    offset = _offsets_in_next_frame(batch, rays, hits).at(before)
    x, y, depth = project(batch.view, offset, batch.size)
    is_inside = (depth > 0) & (x >= 0) & (x <= batch.size.width) & (y >= 0) & (y <= batch.size.height)
    again = trace(batch.view, directions(batch.view, x, y, batch.size), batch.bodies)
    index = hits.object_index[before]
    is_same = (again.object_index == index) & ((index < 0) | ((again.depth - depth).abs() < 0.02 * depth))
    at_x, at_y = pixel_grid(batch.size, 1, x.device)
    return torch.stack([x - at_x, y - at_y], dim=1), is_inside & is_same


def _offsets_in_next_frame(batch: SceneBatch, rays: Vector, hits: Hits) -> Vector:
    """Return each visible point's position in the next frame, relative to its camera; for sky, its direction."""
    frames = torch.arange(rays.x.shape[0], device=rays.x.device)
    following = torch.where(frames % batch.num_frames == batch.num_frames - 1, frames, frames + 1)
    next_position = batch.view.position.at(following)
    static = rays.times(hits.depth).plus(batch.view.position.minus(next_position).spread())
    is_sky = hits.object_index < 0
    offset = Vector(*(torch.where(is_sky, sky, point) for sky, point in zip(rays, static, strict=True)))
    for patch in hits.patches:
        seen = patch.visible(hits)
        bodies, entry = seen.bodies, seen.bodies.following[seen.entry]
        point = bodies.rotation.at(entry).apply(seen.point.times(bodies.size[entry])).plus(bodies.centre.at(entry))
        point = point.minus(next_position.at(seen.pixel // (batch.size.height * batch.size.width)))
        for target, value in zip(offset, point, strict=True):
            target.view(-1)[seen.pixel] = value
    return offset


def _tracks(batch: SceneBatch, num_objects: int) -> Tensor:
    """Return the image points `f n 2` of the objects' centres, NaN where there is no such object."""
    result = torch.full((len(batch.poses), num_objects, 2), float("nan"), device=batch.device)
    for bodies in batch.bodies:
        view = batch.view.at(bodies.frame)
        x, y, _ = project(view, bodies.centre.minus(view.position).spread(), batch.size)
        result[bodies.frame, bodies.slot] = torch.stack([x, y], dim=-1).reshape(-1, 2)
    return result


def _pose_matrices(poses: Sequence[Pose], device: torch.device) -> Tensor:
    """Return camera-to-world matrices `f 4 4`."""
    axes = [[p.right, p.down, p.forward, p.position] for p in poses]
    top = torch.tensor(axes, dtype=torch.float32, device=device).transpose(1, 2)
    bottom = torch.tensor([0.0, 0.0, 0.0, 1.0], device=device).expand(len(poses), 1, 4)
    return torch.cat([top, bottom], dim=1)
