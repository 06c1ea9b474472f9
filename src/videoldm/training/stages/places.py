"""What a place that a stage names is: the export of a run, or a whole model; torch-free."""

from __future__ import annotations

from pathlib import Path

from videoldm.assets.models import shipped_models
from videoldm.checkpoints.file_names import INDEX_FILE
from videoldm.tasks.folder import COMPONENT_FILE, is_native
from videoldm.tasks.open import may_be_model


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
