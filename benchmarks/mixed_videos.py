"""Long videos like those of real collections: moving shots, and on purpose still ones, text and rapid cuts.

Every sixth video is a montage of shots below a second. In the others a shot is still with probability 1/4 and has text
with probability 1/4, so that half of all time shows what a model should learn from, 5/6 * 3/4 * 3/4 = 47 %.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.long import LongVideo
from videoldm.synthetic.timeline import LongVideoOptions, LongVideoRecord, ShotTransition, plan_long_video
from videoldm.video.write import write_video

Fault = Literal["cut", "still", "text"]
FAULTS: tuple[Fault, ...] = get_args(Fault)

SEED = 5
FPS = Fraction(14)
SIZE = 128
MOVING = WorldOptions(moving_object=1.0)
"""Scenes in each of which an object or the camera moves."""
ORDINARY = LongVideoOptions(
    num_shots=10,
    fps=FPS,
    height=SIZE,
    width=SIZE,
    shortest_shot_s=2.4,
    longest_shot_s=3.6,
    transitions={"cut": 4.0, "dissolve": 1.0, "fade": 1.0, "flash": 1.0},
    static_shot=0.25,
    text_on_shot=0.25,
    flash_inside_shot=0.0,
    world=MOVING,
)
MONTAGE = ORDINARY.model_copy(
    update={
        "num_shots": 48,
        "shortest_shot_s": 0.35,
        "longest_shot_s": 0.9,
        "transitions": {"cut": 1.0},
        "static_shot": 0.0,
        "text_on_shot": 0.0,
    }
)


def make_videos(folder: Path, num_videos: int) -> Iterator[Path]:
    """The videos; those that are in `folder` already are not made again."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(num_videos):
        path = folder / f"{index:04d}.mp4"
        if not path.exists():
            frames = np.stack(list(LongVideo(SEED, index, _options(index)).frames()))
            write_video(path, torch.from_numpy(frames).movedim(-1, 1), fps=FPS)
        yield path


@functools.cache
def record_of(path: Path) -> LongVideoRecord:
    """What is true of a video."""
    index = int(path.stem)
    return plan_long_video(SEED, index, _options(index))


def faults(record: LongVideoRecord, first_frame: int, last_frame: int) -> set[Fault]:
    """What is wrong with these frames of a video, both ends included."""
    found: set[Fault] = set()
    if any(_is_within(one, first_frame, last_frame) for one in record.transitions):
        found.add("cut")
    elif any(shot.is_static for shot in record.shots if first_frame in shot.span):
        found.add("still")
    if any(box.first_frame <= last_frame and box.last_frame >= first_frame for box in record.texts):
        found.add("text")
    return found


def _is_within(transition: ShotTransition, first_frame: int, last_frame: int) -> bool:
    if transition.kind == "cut":
        return first_frame < transition.new_shot_frame <= last_frame
    return transition.span.first_frame <= last_frame and transition.span.last_frame >= first_frame


def _options(index: int) -> LongVideoOptions:
    return MONTAGE if index % 6 == 5 else ORDINARY
