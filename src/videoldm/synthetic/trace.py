"""Scenes as tensors, and ray tracing: the ground by formula, objects by sphere tracing their signed distances."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.synthetic.camera import Cameras, Pose, Size, cameras, pose
from videoldm.synthetic.elements import UNIT_RADIUS, Scene, SceneObject
from videoldm.synthetic.geometry import DISTANCES, Rotation, Vector
from videoldm.synthetic.vocabulary import Shape

NUM_STEPS = 48
STEPS_BETWEEN_SORTINGS = 6
SURFACE = 1e-3
"""Distance at which a ray counts as arrived, in units of the object's size."""

FAR = 1e6
"""Depth of the sky."""


SAMPLES_AT_ONCE_CPU = 2**19
SAMPLES_AT_ONCE_GPU = 2**25
"""Numbers of rays in a batch, bounded by memory."""


@dataclass(frozen=True)
class Bodies:
    """Objects of one shape, at most one in each frame, as tensors of shape `e`: entry `e` is in frame `frame[e]`.

    scene: number of the entry's scene.
    following: entry of the same object in the next frame, the entry itself in the last one.
    """

    shape: Shape
    slot: int
    frame: Tensor
    following: Tensor
    scene: Tensor
    centre: Vector
    rotation: Rotation
    size: Tensor


@dataclass(frozen=True)
class SceneBatch:
    """Scenes at several times as tensors; frames are numbered scene by scene."""

    scenes: Sequence[Scene]
    num_frames: int
    size: Size
    supersampling: int
    poses: Sequence[Pose]
    view: Cameras
    bodies: Sequence[Bodies]

    @property
    def device(self) -> torch.device:
        """Device of the tensors."""
        return self.view.focal.device


@dataclass(frozen=True)
class Patch:
    """Rays that hit one of `bodies`: `pixel` is the flat position in `f h w`, `point` is in the body's own axes."""

    bodies: Bodies
    pixel: Tensor
    entry: Tensor
    depth: Tensor
    point: Vector

    def visible(self, hits: "Hits") -> "Patch":
        """Return the rays of this patch that hit nothing nearer."""
        wins = torch.nonzero(hits.depth.view(-1)[self.pixel] == self.depth)[:, 0]
        return Patch(self.bodies, self.pixel[wins], self.entry[wins], self.depth[wins], self.point.at(wins))


@dataclass(frozen=True)
class Hits:
    """First hit of each ray of `f h w`: its depth and an index, -1 for sky, 0 for ground, 1 and up for objects."""

    depth: Tensor
    object_index: Tensor
    patches: tuple[Patch, ...]


def scene_batches(
    scenes: Sequence[Scene],
    *,
    first_frame: int,
    num_frames: int,
    fps: Fraction | int,
    size: Size,
    supersampling: int,
    device: torch.device | str,
) -> Iterator[SceneBatch]:
    """Yield batches of scenes that are small enough to render at once; raises InputError for sizes below 1."""
    numbers = {"num_frames": num_frames, "height": size.height, "width": size.width, "supersampling": supersampling}
    for name, value in (*numbers.items(), ("fps", fps), ("number of scenes", len(scenes))):
        if value <= 0:
            raise InputError(f"{name} is {value}, it should be positive")
    device = torch.device(device)
    times = [float(frame / Fraction(fps)) for frame in range(first_frame, first_frame + num_frames)]
    budget = SAMPLES_AT_ONCE_CPU if device.type == "cpu" else SAMPLES_AT_ONCE_GPU
    at_once = max(1, budget // (num_frames * size.height * size.width * supersampling**2))
    for first in range(0, len(scenes), at_once):
        part = scenes[first : first + at_once]
        poses = [pose(scene.camera, time_s) for scene, time_s in itertools.product(part, times)]
        yield SceneBatch(
            scenes=part,
            num_frames=num_frames,
            size=size,
            supersampling=supersampling,
            poses=poses,
            view=cameras(poses, device),
            bodies=_bodies_of(part, times, device),
        )


def trace(view: Cameras, direction: Vector, bodies: Sequence[Bodies]) -> Hits:
    """Trace the rays `direction` (`f h w`, forward component 1) of the cameras `view`."""
    camera_height = view.position.y.reshape(-1, 1, 1)
    is_ground = direction.y < -1e-6
    safe = torch.where(is_ground, direction.y, torch.full_like(direction.y, -1.0))
    depth = torch.where(is_ground, -camera_height / safe, torch.full_like(safe, FAR)).clamp(max=FAR)
    object_index = is_ground.long() - 1
    patches = tuple(_meet(view, direction, group) for group in bodies)
    flat_depth, flat_index = depth.view(-1), object_index.view(-1)
    for patch in patches:
        is_nearer = patch.depth < flat_depth[patch.pixel]
        pixel = patch.pixel[is_nearer]
        flat_depth[pixel] = patch.depth[is_nearer]
        flat_index[pixel] = patch.bodies.slot + 1
    return Hits(depth, object_index, patches)


def _bodies_of(scenes: Sequence[Scene], times_s: Sequence[float], device: torch.device) -> list[Bodies]:
    """Return the objects of all scenes at all times, grouped by position in the scene and by shape."""
    groups: dict[tuple[int, Shape], list[tuple[int, SceneObject]]] = {}
    for number, scene in enumerate(scenes):
        for slot, body in enumerate(scene.objects):
            groups.setdefault((slot, body.shape), []).append((number, body))
    return [_group(groups[key], key[0], times_s, device) for key in sorted(groups)]


def _group(
    members: Sequence[tuple[int, SceneObject]], slot: int, times_s: Sequence[float], device: torch.device
) -> Bodies:
    """Return the objects at position `slot` of scenes, given with their scene's number; all have one shape."""
    rows: list[tuple[float, ...]] = []
    frames: list[int] = []
    for number, body in members:
        for step, time_s in enumerate(times_s):
            a, b, c = body.rotation(time_s)
            rows.append((*body.centre(time_s), *a, *b, *c, body.size))
            frames.append(number * len(times_s) + step)
    table = torch.tensor(rows, dtype=torch.float64).float().to(device)
    column = [table[:, i] for i in range(13)]
    entries = torch.arange(len(rows))
    is_last = entries % len(times_s) == len(times_s) - 1
    return Bodies(
        shape=members[0][1].shape,
        slot=slot,
        frame=torch.tensor(frames, device=device),
        scene=torch.tensor(frames, device=device) // len(times_s),
        following=(entries + (~is_last).long()).to(device),
        centre=Vector(*column[0:3]),
        rotation=Rotation(Vector(*column[3:6]), Vector(*column[6:9]), Vector(*column[9:12])),
        size=column[12],
    )


def _meet(view: Cameras, direction: Vector, bodies: Bodies) -> Patch:
    """Trace, in each body's own axes and at size 1, the rays that cross its bounding sphere."""
    start = bodies.rotation.apply_inverse(view.position.at(bodies.frame).minus(bodies.centre)).times(1.0 / bodies.size)
    origin = start.spread()
    whole = bodies.frame.shape[0] == direction.x.shape[0]
    rays = direction if whole else direction.at(bodies.frame)
    local = bodies.rotation.spread().apply_inverse(rays)
    squared = local.dot(local)
    middle = local.dot(origin)
    rest = origin.dot(origin) - UNIT_RADIUS[bodies.shape] ** 2
    discriminant = middle * middle - squared * rest
    entry, row, column = torch.nonzero((discriminant > 0) & (middle < 0), as_tuple=True)
    picked = (entry, row, column)
    heading = Vector(*(part[picked] for part in local))
    start = start.at(entry)
    speed = torch.sqrt(squared[picked])
    root = torch.sqrt(discriminant[picked])
    near, far = (-middle[picked] - root) / speed, (-middle[picked] + root) / speed
    heading = heading.times(1.0 / speed)
    distance, has_arrived = _march(bodies.shape, start, heading, near, far)
    keep = torch.nonzero(has_arrived)[:, 0]
    entry, distance = entry[keep], distance[keep]
    _, height, width = direction.x.shape
    return Patch(
        bodies=bodies,
        pixel=(bodies.frame[entry] * height + row[keep]) * width + column[keep],
        entry=entry,
        depth=distance / speed[keep] * bodies.size[entry],
        point=start.at(keep).plus(heading.at(keep).times(distance)),
    )


def _march(shape: Shape, start: Vector, heading: Vector, near: Tensor, far: Tensor) -> tuple[Tensor, Tensor]:
    """Advance each ray by its distance to the surface; returns its final distance and whether it is on the surface.

    Rays that have arrived or left are removed from time to time, which does not affect the path of any ray.
    """
    position = near.clone()
    has_arrived = torch.zeros_like(near, dtype=torch.bool)
    active = torch.arange(near.shape[0], device=near.device)
    travelled, origin, along, limit = near, start, heading, far
    for _ in range(NUM_STEPS // STEPS_BETWEEN_SORTINGS):
        gap = travelled
        for _ in range(STEPS_BETWEEN_SORTINGS):
            gap = DISTANCES[shape](origin.plus(along.times(travelled)))
            travelled = travelled + gap
        position[active] = travelled
        arrived = gap < SURFACE
        has_arrived[active] = arrived & (travelled <= limit)
        going = torch.nonzero(~arrived & (travelled < limit))[:, 0]
        active, travelled, limit = active[going], travelled[going], limit[going]
        origin, along = origin.at(going), along.at(going)
    return position, has_arrived
