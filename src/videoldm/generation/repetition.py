"""Repetition of a clip from the settings stored with it; torch-free."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.generation.request import Request, Settings, check_picture
from videoldm.pipelines.lora import check_loras
from videoldm.pipelines.open import open_model
from videoldm.pipelines.reference import ModelFiles


def stored_settings(source: str, *, image: str | None, model: str | None, device: str) -> Settings:
    """Return the settings of an earlier clip, its picture and model taken from elsewhere if that is given.

    Raises InputError if they are missing, or if picture, model or LoRAs are not those that made the clip.
    """
    from videoldm.video.metadata import read_metadata

    stored = read_metadata(source)
    if stored is None or not isinstance(stored.get("request"), dict):
        raise InputError(f"{source}: holds no settings, it should be a clip that videoldm made or the .json beside it")
    settings = validate(Settings, stored, source=source)
    request = settings.request
    if model is not None:
        request = request.model_copy(update={"model": request.model.model_copy(update={"name": model})})
    if image is not None:
        if request.image is None:
            raise InputError(f"{source} was made from a prompt, so no picture goes with it: leave out {image}")
        request = request.model_copy(update={"image": image})
    elif request.image is not None and not Path(request.image).exists():
        raise InputError(f"{source} was made from {request.image}, which is not here: give the picture beside --from")
    check_picture(request)
    _check_weights(open_model(request.model), request, settings.model_hash, source)
    check_loras(request.loras)
    _warn_of_versions(settings.versions)
    if settings.device != device:
        warnings.warn(f"made on {settings.device}, this is {device}: pixels may differ a little", stacklevel=1)
    return settings.model_copy(update={"request": request})


def _check_weights(files: ModelFiles, request: Request, made_by: str | None, source: str) -> None:
    """Raise InputError for other weights than made the clip."""
    if made_by not in (None, files.content_hash(request.task)):
        raise InputError(
            f"{source} was made by other weights than model {request.model.name} has now: give the folder of the "
            f"model that made it with --model"
        )


def _warn_of_versions(stored: Mapping[str, str]) -> None:
    """Warn if the clip was made with other versions, which may round differently."""
    for package, old in stored.items():
        with suppress(PackageNotFoundError):
            if old != version(package):
                warnings.warn(f"made with {package} {old}, this is {version(package)}", stacklevel=1)
