"""Models of annotators on the hub: which of them are not here, how large they are, and their download; torch-free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.core.reading import read_mapping
from videoldm.curation.annotators.models.local_model import LocalModel, MissingModelError
from videoldm.curation.annotators.registry import AnnotatorConfig

FILES = ("*.json", "*.jinja", "*.txt", "*.model", "model*.safetensors")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
_TIMEOUT_S = 10
_GB = 1e9


@dataclass(frozen=True, slots=True)
class HubModel:
    """A model on the hub, with the bytes of the files that are read, and its licence if it states one."""

    name: str
    num_bytes: int
    licence: str | None

    def __str__(self) -> str:
        """Return name, size and licence."""
        return f"{self.name} ({self.num_bytes / _GB:.2g} GB, licence {self.licence or 'not stated'})"


def model_folder(name: str) -> Path:
    """Return the folder of a model: a folder itself, or the hub's cache of `owner/model`; no network is used.

    Raises MissingModelError if the cache does not have its weights, InputError if `name` is neither.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    if (folder := Path(name)).is_dir():
        return folder
    if not _HUB_NAME.fullmatch(name):
        raise InputError(f"{name}: does not exist, it should be the folder of a model or a name on the hub")
    try:
        found = Path(snapshot_download(name, allow_patterns=list(FILES), local_files_only=True))
    except LocalEntryNotFoundError:
        raise MissingModelError(_how_to_get(name)) from None
    if not _has_weights(found):
        raise MissingModelError(_how_to_get(name))
    return found


def _has_weights(folder: Path) -> bool:
    """Return whether all weights are there: an interrupted download leaves the files that are complete."""
    index = folder / "model.safetensors.index.json"
    if not index.exists():
        return any(folder.glob("model*.safetensors"))
    return all((folder / name).exists() for name in set(read_mapping(index)["weight_map"].values()))


def missing_models(configs: Iterable[AnnotatorConfig]) -> list[str]:
    """Return the hub names of the models that annotations need and that are not on this machine."""
    names = dict.fromkeys(name for config in configs for name in _model_names(config))
    return [name for name in names if _HUB_NAME.fullmatch(name) and not _is_here(name)]


def look_up(names: Sequence[str]) -> list[HubModel]:
    """Ask the hub for the size and licence of models; raises InputError if it does not answer or has no such model."""
    from huggingface_hub import HfApi

    from videoldm.checkpoints.storage.hub import explained

    found = []
    for name in names:
        with explained(name, name):
            info = HfApi().model_info(name, files_metadata=True, timeout=_TIMEOUT_S)
        wanted = [one for one in info.siblings or () if any(fnmatch(one.rfilename, pattern) for pattern in FILES)]
        licences = [tag.removeprefix("license:") for tag in info.tags or () if tag.startswith("license:")]
        found.append(HubModel(name, sum(one.size or 0 for one in wanted), licences[0] if licences else None))
    return found


def download_model(name: str) -> Path:
    """Return the folder of a model, downloaded if it is missing; an interrupted download continues where it stopped.

    Raises InputError, which names the remedy, if that fails.
    """
    from huggingface_hub import snapshot_download

    from videoldm.checkpoints.storage.hub import explained

    try:
        return model_folder(name)
    except MissingModelError:
        pass
    with explained(name, name):
        return Path(snapshot_download(name, allow_patterns=list(FILES)))


def _is_here(name: str) -> bool:
    try:
        model_folder(name)
    except MissingModelError:
        return False
    return True


def _model_names(value: object) -> Iterator[str]:
    """Yield the models that a config holds, at any depth."""
    if isinstance(value, LocalModel):
        yield value.model
    elif isinstance(value, Config):
        for name in type(value).model_fields:
            yield from _model_names(getattr(value, name))
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _model_names(one)


def _how_to_get(name: str) -> str:
    return f"the model {name} is not on this machine: add --download, or name a folder"
