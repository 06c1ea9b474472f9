"""What the files of a model say before it is loaded; torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from safetensors import SafetensorError, safe_open

from videoldm.assets.models import model_folder
from videoldm.core.config import Config, validate
from videoldm.core.errors import InputError
from videoldm.core.files import read_json
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.tasks.config import TaskModelConfig, TaskName

C = TypeVar("C", bound=Config)

TASK_FILE = "model.json"
COMPONENT_FILE = "config.json"


@dataclass(frozen=True, kw_only=True)
class Component:
    """A folder with weights: how many numbers they hold, what they take on disk, and what its config.json says."""

    num_parameters: int
    num_bytes: int
    config: Mapping[str, Any]


def find_model(name: str) -> Path:
    """The folder of the model called `name`: a shipped one or a path; raises InputError if there is none."""
    folder = model_folder(name)
    if not (folder / "autoencoder" / COMPONENT_FILE).is_file():
        raise InputError(f"model {name} is no model folder: it has no autoencoder/{COMPONENT_FILE}")
    return folder


def tasks_of(folder: Path) -> list[TaskName]:
    """The tasks that the model in `folder` has weights for."""
    return [task for task in cast("tuple[TaskName, ...]", get_args(TaskName)) if (folder / task / TASK_FILE).is_file()]


def task_config(name: str, folder: Path, task: TaskName) -> TaskModelConfig:
    """The configuration of one task; raises InputError if the model cannot do it."""
    able = tasks_of(folder)
    if task not in able:
        raise InputError(f"model {name} cannot do {task}, it can do {', '.join(able) or 'nothing'}")
    return read_config(folder / task / TASK_FILE, TaskModelConfig)


def size_factor(folder: Path) -> int:
    """What height and width must be multiples of."""
    return read_config(folder / "autoencoder" / COMPONENT_FILE, AutoencoderConfig).factor


def read_config(path: Path, config_type: type[C]) -> C:
    """The configuration in a JSON file; unknown keys and wrong values are InputErrors that name the file."""
    return validate(config_type, read_mapping(path), source=str(path))


def read_mapping(path: Path) -> dict[str, Any]:
    """The object in a JSON file."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds a {type(value).__name__}, it should hold an object with named values")
    return cast("dict[str, Any]", value)


def component(folder: Path) -> Component:
    """Count the weights in `folder` by their headers alone."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: has no weights, it should hold a .safetensors file")
    return Component(
        num_parameters=sum(_count(file) for file in files),
        num_bytes=sum(file.stat().st_size for file in files),
        config=read_mapping(folder / COMPONENT_FILE),
    )


def _count(path: Path) -> int:
    try:
        with safe_open(path, framework="np") as file:
            names = cast("list[str]", file.keys())
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is cut off or broken ({error})") from None
