"""Repetition of a clip from the settings stored with it; torch-free."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.request import Settings, check_files
from videoldm.pipelines.lora import check_loras
from videoldm.pipelines.reference import ModelFiles, listed


def stored_settings(source: str, *, moved: ClipInputs, model: str | None, device: str) -> Settings:
    """Return the settings of an earlier clip, its `moved` files and model taken from elsewhere if given.

    Raises InputError if they are missing, or if files or LoRAs are not those that made the clip.
    """
    from videoldm.video.metadata import read_metadata

    stored = read_metadata(source)
    if stored is None or not isinstance(stored.get("request"), dict):
        raise InputError(f"{source}: holds no settings, it should be a clip that videoldm made or the .json beside it")
    settings = validate(Settings, stored, source=source)
    request = settings.request
    if model is not None:
        request = request.model_copy(update={"model": request.model.model_copy(update={"name": model})})
    if not moved.given <= request.given:
        raise InputError(f"{source} was made from {listed(request.given)} alone: leave out {moved.label}")
    request = request.model_copy(update=moved.inputs_by_name())
    for path in request.files:
        if not path.exists():
            raise InputError(f"{source} was made from {path}, which is not here: give the file as well")
    check_files(request)
    check_loras(request.loras)
    _warn_of_versions(settings.versions)
    if settings.device != device:
        warnings.warn(f"made on {settings.device}, this is {device}: pixels may differ a little", stacklevel=1)
    return settings.model_copy(update={"request": request})


def check_weights(files: ModelFiles, settings: Settings, source: str) -> None:
    """Raise InputError for other weights than made the clip of these settings."""
    if settings.model_hash not in (None, files.content_hash(settings.request.task)):
        raise InputError(
            f"{source} was made by other weights than model {files.ref.name} has now: give the folder of the "
            f"model that made it"
        )


def _warn_of_versions(stored: Mapping[str, str]) -> None:
    """Warn if the clip was made with other versions, which may round differently."""
    for package, old in stored.items():
        with suppress(PackageNotFoundError):
            if old != version(package):
                warnings.warn(f"made with {package} {old}, this is {version(package)}", stacklevel=1)
