"""Models of transformers in folders or in the hub's cache; only `download_model` contacts the hub."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
from transformers import PreTrainedModel

from videoldm.core.errors import InputError
from videoldm.core.progress import hide_transformers_bars
from videoldm.curation.annotators.models.local_model import LocalModel, MissingModelError
from videoldm.inference.config import Precision
from videoldm.inference.precision import DTYPES

FILES = ("*.json", "*.jinja", "*.txt", "*.model", "model*.safetensors")
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def model_folder(name: str) -> Path:
    """Return the folder of a model: a folder itself, or the hub's cache of `owner/model`; no network is used.

    Raises MissingModelError if the cache does not have its weights, InputError if `name` is neither.
    """
    if (folder := Path(name)).is_dir():
        return folder
    if not _HUB_NAME.fullmatch(name):
        raise InputError(f"{name}: does not exist, it should be the folder of a model or a name on the hub")
    try:
        found = Path(snapshot_download(name, allow_patterns=list(FILES), local_files_only=True))
    except LocalEntryNotFoundError:
        raise MissingModelError(_how_to_get(name)) from None
    if not any(found.glob("model*.safetensors")):
        raise MissingModelError(_how_to_get(name))
    return found


def download_model(name: str) -> Path:
    """Return the folder of a model, downloaded from the hub if it is missing; raises InputError if that fails."""
    try:
        return model_folder(name)
    except MissingModelError:
        pass
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        raise InputError(f"{name}: cannot be downloaded from the hub: {_first_line(error)}") from None


def load_pretrained(auto_class: Any, config: LocalModel) -> Any:
    """Return the model of `config`, frozen, on its device; annotators of a worker share it.

    Raises MissingModelError if it is not on this machine, InputError unless all its weights are in its files.
    """
    return _loaded(auto_class, config.model, config.device, config.precision)


@lru_cache(maxsize=4)
def _loaded(auto_class: Any, name: str, device: str, precision: Precision) -> PreTrainedModel:
    folder = model_folder(name)
    try:
        with hide_transformers_bars():
            model, report = auto_class.from_pretrained(
                folder,
                dtype=DTYPES[precision],
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, ImportError, RuntimeError) as error:
        raise InputError(f"{name}: cannot be read as a model: {_first_line(error)}") from None
    if lacking := sorted(report["missing_keys"]):
        raise InputError(f"{name}: its files lack {len(lacking)} weights, {lacking[0]} the first")
    return model.requires_grad_(False).eval().to(device)


def load_processor(auto_class: Any, config: LocalModel, **options: Any) -> Any:
    """Return the processor of the inputs of `config`'s model; raises InputError if its files are missing or broken."""
    folder = model_folder(config.model)
    try:
        return auto_class.from_pretrained(folder, local_files_only=True, **options)
    except (OSError, ValueError, ImportError, KeyError, TypeError) as error:
        kind = auto_class.__name__.removeprefix("Auto")
        raise InputError(f"{config.model}: has no {kind} that can be read: {_first_line(error)}") from None


@contextmanager
def fixed_threads(config: LocalModel) -> Generator[None]:
    """Compute with the threads of `config` and without gradients within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(config.num_threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def _how_to_get(name: str) -> str:
    return f"the model {name} is not on this machine: download it with `hf download {name}` or name a folder"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
