"""Making a clip again from the settings that are stored with it; torch-free."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.tasks.files import ModelFiles
from videoldm.tasks.lora import check_loras
from videoldm.tasks.open import open_model
from videoldm.tasks.request import Request, Settings, check_picture


def open_model_of(request: Request, *, allow_pickle: bool) -> ModelFiles:
    """The model of a request; that its files may be pickles is no part of it, whoever repeats it says so again."""
    return open_model(
        request.model,
        variant=request.variant,
        unet=request.unet,
        tokenizer=request.tokenizer,
        allow_pickle=allow_pickle,
    )


def stored_settings(
    source: str, *, image: str | None, model: str | None, device: str, allow_pickle: bool = False
) -> Settings:
    """The settings of an earlier clip, its picture and model taken from elsewhere if that is given."""
    from videoldm.video.metadata import read_metadata

    stored = read_metadata(source)
    if stored is None or not isinstance(stored.get("request"), dict):
        raise InputError(f"{source}: holds no settings, it should be a clip that videoldm made or the .json beside it")
    settings = validate(Settings, stored, source=source)
    request = settings.request
    if model is not None:
        request = request.model_copy(update={"model": model})
    if image is not None:
        if request.image is None:
            raise InputError(f"{source} was made from a prompt, so no picture goes with it: leave out {image}")
        request = request.model_copy(update={"image": image})
    elif request.image is not None and not Path(request.image).exists():
        raise InputError(f"{source} was made from {request.image}, which is not here: give the picture beside --from")
    check_picture(request)
    _check_weights(open_model_of(request, allow_pickle=allow_pickle), request, settings.model_hash, source)
    check_loras(request.loras)
    _warn_of_versions(settings.versions)
    if settings.device != device:
        warnings.warn(f"made on {settings.device}, this is {device}: pixels may differ a little", stacklevel=1)
    return settings.model_copy(update={"request": request})


def _check_weights(files: ModelFiles, request: Request, made_by: str | None, source: str) -> None:
    """Refuse to repeat a clip with other weights than made it."""
    if made_by not in (None, files.content_hash(request.task)):
        raise InputError(
            f"{source} was made by other weights than model {request.model} has now: give the folder of the model that "
            f"made it with --model"
        )


def _warn_of_versions(stored: Mapping[str, str]) -> None:
    """Say so if the clip comes from other versions, which may round differently."""
    for package, old in stored.items():
        with suppress(PackageNotFoundError):
            if old != version(package):
                warnings.warn(f"made with {package} {old}, this is {version(package)}", stacklevel=1)
