"""A model folder in which an image model that has learned a subject moves by a video model's temporal layers."""

from __future__ import annotations

import shutil
from pathlib import Path

from videoldm.checkpoints.native import load_unet, save_component
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder
from videoldm.models.unet.personalise import with_image_layers
from videoldm.tasks.folder import COMPONENT_FILE, TEMPORAL_TEXT_ENCODER, NativeFolder
from videoldm.tasks.open import open_model

TASK, TEXT_ENCODER, AUTOENCODER = "text-to-video", "text_encoder", "autoencoder"


def personalise(video: str, image: Path, target: Path) -> None:
    """Write a text-to-video model of our own layout: `video` with the UNet that an image run exported in `image`.

    If the run has exported a text encoder too, the spatial layers read with it, the temporal ones with the video
    model's own (Video LDM, App. D.3). Raises InputError if the two do not belong together.
    """
    files = open_model(video)
    if not isinstance(files, NativeFolder) or TASK not in files.tasks:
        raise InputError(f"model {video} should be one of our own layout that makes clips from text")
    for part in (image / "unet", *([image / TEXT_ENCODER] if (image / TEXT_ENCODER).exists() else [])):
        if not (part / COMPONENT_FILE).is_file():
            raise InputError(f"{part}: has no {COMPONENT_FILE}, {image} should be what an image run has exported")
    unet = with_image_layers(load_unet(files.folder / TASK / "unet"), load_unet(image / "unet"))
    learned = (image / TEXT_ENCODER).is_dir()
    with atomic_folder(target, replace=True) as folder:
        for part in (AUTOENCODER, TASK):
            shutil.copytree(files.folder / part, folder / part)
        shutil.copytree((image if learned else files.folder) / TEXT_ENCODER, folder / TEXT_ENCODER)
        if learned:
            shutil.copytree(files.folder / TEXT_ENCODER, folder / TEMPORAL_TEXT_ENCODER)
        save_component(folder / TASK / "unet", unet, unet.config)
