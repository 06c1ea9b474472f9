"""A model folder in which an image model that has learned a subject moves by a video model's temporal layers."""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from videoldm.checkpoints.layouts.native import load_unet, save_component
from videoldm.checkpoints.layouts.transformers import open_text_encoder
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder
from videoldm.models.unet.surgery import with_image_layers
from videoldm.pipelines.folder import TEMPORAL_TEXT_ENCODER, NativeFolder
from videoldm.pipelines.open import open_model
from videoldm.pipelines.reference import require_task
from videoldm.tasks.config import TaskName
from videoldm.tasks.registry import all_tasks
from videoldm.tasks.task import Task

TEXT_ENCODER, AUTOENCODER = "text_encoder", "autoencoder"


def personalise(video: str, image: str, target: Path) -> None:
    """Write a text-to-video model of our own layout: `video` with the UNet of the text-to-image model `image`.

    If their text encoders differ, the spatial layers read with the image model's, the temporal ones with the video
    model's own (Video LDM, App. D.3). Raises InputError if the two do not belong together.
    """
    moving = _native(video)
    task = _task_with_stills(moving)
    assert task.still_task is not None
    drawn = _folder(_native(image), task.still_task)
    video_unet, image_unet = moving.folder / task.name / "unet", drawn / task.still_task / "unet"
    unet = with_image_layers(load_unet(video_unet), load_unet(image_unet))
    with atomic_folder(target, replace=True) as folder:
        for part in (AUTOENCODER, task.name):
            shutil.copytree(moving.folder / part, folder / part)
        shutil.copytree(drawn / TEXT_ENCODER, folder / TEXT_ENCODER)
        if not _read_alike(moving.folder / TEXT_ENCODER, drawn / TEXT_ENCODER):
            shutil.copytree(moving.folder / TEXT_ENCODER, folder / TEMPORAL_TEXT_ENCODER)
        save_component(folder / task.name / "unet", unet, unet.config)


def _task_with_stills(files: NativeFolder) -> Task:
    """Return the model's task that is trained on single frames too; raise InputError if it has none."""
    tasks = [task for task in all_tasks() if task.still_task is not None]
    for task in tasks:
        if task.name in files.tasks:
            return task
    require_task(files, tasks[0].name)
    raise AssertionError(files.ref.name)


def _native(name: str) -> NativeFolder:
    files = open_model(name)
    if not isinstance(files, NativeFolder):
        raise InputError(f"model {name} should be one of our own layout, as a run exports")
    return files


def _folder(files: NativeFolder, task: TaskName) -> Path:
    require_task(files, task)
    return files.folder


def _read_alike(left: Path, right: Path) -> bool:
    """Whether two text encoders have the same weights, in whatever precision both are stored."""
    ours, theirs = (open_text_encoder(folder).load(dtype=torch.float16).state_dict() for folder in (left, right))
    return ours.keys() == theirs.keys() and all(torch.equal(weight, theirs[key]) for key, weight in ours.items())
