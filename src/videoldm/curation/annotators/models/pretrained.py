"""Models of transformers, read from folders or from the hub's cache."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from transformers import PreTrainedModel

from videoldm.core.errors import InputError
from videoldm.core.progress import hide_transformers_bars
from videoldm.curation.annotators.models.hub_models import model_folder
from videoldm.curation.annotators.models.local_model import LocalModel
from videoldm.inference.config import Precision
from videoldm.inference.precision import DTYPES


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
def fixed_threads(num_threads: int) -> Generator[None]:
    """Compute with so many threads and without gradients within the context."""
    before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
