"""Weights in PyTorch's own files, which are pickles: only tensors are read, and no code in them runs."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from videoldm.checkpoints.storage.file_names import PICKLE_ENDINGS
from videoldm.checkpoints.storage.safetensors import LoadedTensor
from videoldm.checkpoints.storage.trust import are_pickles_trusted
from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file

WRAPPER = "state_dict"
"""Key of the weights in files that training programs write, which hold other things too."""
_CODE = re.compile(r"GLOBAL (\S+)")


@dataclass(frozen=True)
class PickledTensor(LoadedTensor):
    """A tensor of a pickle; in PyTorch's present format its data is read from the file when it is used."""

    file: Path


def is_pickle(path: Path) -> bool:
    """Return whether a file of this name is a pickle, which can run code when it is read."""
    return path.suffix.lower() in PICKLE_ENDINGS


def pickled_tensors(path: Path) -> dict[str, PickledTensor]:
    """Open a pickle by PyTorch's reader that builds tensors and nothing else.

    Raises InputError outside of `pickles_trusted`, if the file asks for code, and if it is not a file of named tensors.
    """
    if not are_pickles_trusted():
        raise InputError(
            f"{path}: is a pickle, which can run any code when it is read; --allow-pickle reads its tensors and runs "
            f"nothing (videoldm convert {path} {path.with_suffix('.safetensors')} --to sgm --allow-pickle makes a safe "
            "file of a whole model)"
        )
    existing_file(path, kind="weights as PyTorch writes them")
    content = _load(path)
    content = content.get(WRAPPER, content) if isinstance(content, dict) else {}
    values = cast("dict[object, object]", content) if isinstance(content, dict) else {}
    found = {str(key): PickledTensor(value, path) for key, value in values.items() if isinstance(value, Tensor)}
    if not found:
        raise InputError(f"{path}: holds no tensors by name, it should hold the weights of a network")
    return found


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except Exception as error:  # noqa: BLE001 - damaged files make the reader fail in any way
        code = _CODE.search(str(error))
        if code is None:
            raise InputError(f"{path}: cannot be read as weights of PyTorch, it is cut off or something else") from None
        raise InputError(
            f"{path}: asks for {code[1]} beside its tensors, which could be any code: it is refused even with "
            "--allow-pickle, take a .safetensors file of the model"
        ) from None
