"""Scenes at all their times, turned into the tensors that rendering works on."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from videoldm.core.errors import InputError
from videoldm.synthetic.camera import Cameras, Pose, Size, cameras, pose
from videoldm.synthetic.elements import Scene
from videoldm.synthetic.trace import Bodies, bodies_of

SAMPLES_AT_ONCE_CPU = 2**19
SAMPLES_AT_ONCE_GPU = 2**25


@dataclass(frozen=True)
class Stage:
    """Some scenes at some times; frames are numbered scene by scene."""

    scenes: Sequence[Scene]
    num_frames: int
    poses: Sequence[Pose]
    view: Cameras
    bodies: Sequence[Bodies]

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.view.focal.device


def stages(
    scenes: Sequence[Scene],
    *,
    first_frame: int,
    num_frames: int,
    fps: Fraction | int,
    size: Size,
    supersampling: int,
    device: torch.device,
) -> Iterator[Stage]:
    """Batches of scenes that are small enough to render at once; raises InputError on sizes below 1."""
    numbers = {"num_frames": num_frames, "height": size.height, "width": size.width, "supersampling": supersampling}
    for name, value in (*numbers.items(), ("fps", fps), ("number of scenes", len(scenes))):
        if value <= 0:
            raise InputError(f"{name} is {value}, it should be positive")
    times = [float(frame / Fraction(fps)) for frame in range(first_frame, first_frame + num_frames)]
    budget = SAMPLES_AT_ONCE_CPU if device.type == "cpu" else SAMPLES_AT_ONCE_GPU
    at_once = max(1, budget // (num_frames * size.height * size.width * supersampling**2))
    for first in range(0, len(scenes), at_once):
        part = scenes[first : first + at_once]
        poses = [pose(scene.camera, time_s) for scene, time_s in itertools.product(part, times)]
        yield Stage(part, num_frames, poses, cameras(poses, device), bodies_of(part, times, device))
