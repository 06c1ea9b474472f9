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
from videoldm.tasks.config import TaskName
from videoldm.tasks.folder import TEMPORAL_TEXT_ENCODER, NativeFolder
from videoldm.tasks.open import open_for_task

TASK, TEXT_ENCODER, AUTOENCODER = "text-to-video", "text_encoder", "autoencoder"


def personalise(video: str, image: str, target: Path) -> None:
    """Write a text-to-video model of our own layout: `video` with the UNet of the text-to-image model `image`.

    If their text encoders differ, the spatial layers read with the image model's, the temporal ones with the video
    model's own (Video LDM, App. D.3). Raises InputError if the two do not belong together.
    """
    moving, drawn = _folder(video, TASK), _folder(image, "text-to-image")
    unet = with_image_layers(load_unet(moving / TASK / "unet"), load_unet(drawn / "text-to-image" / "unet"))
    with atomic_folder(target, replace=True) as folder:
        for part in (AUTOENCODER, TASK):
            shutil.copytree(moving / part, folder / part)
        shutil.copytree(drawn / TEXT_ENCODER, folder / TEXT_ENCODER)
        if not _read_alike(moving / TEXT_ENCODER, drawn / TEXT_ENCODER):
            shutil.copytree(moving / TEXT_ENCODER, folder / TEMPORAL_TEXT_ENCODER)
        save_component(folder / TASK / "unet", unet, unet.config)


def _folder(name: str, task: TaskName) -> Path:
    files = open_for_task(name, task)
    if not isinstance(files, NativeFolder):
        raise InputError(f"model {name} should be one of our own layout, as a run exports")
    return files.folder


def _read_alike(left: Path, right: Path) -> bool:
    """Whether two text encoders have the same weights, in whatever precision both are stored."""
    ours, theirs = (open_text_encoder(folder).load(dtype=torch.float16).state_dict() for folder in (left, right))
    return ours.keys() == theirs.keys() and all(torch.equal(weight, theirs[key]) for key, weight in ours.items())
