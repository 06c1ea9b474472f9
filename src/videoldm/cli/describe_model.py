"""Models and their parts as plain values, read from configurations and the headers of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open

from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.core.files import read_mapping
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.folder import (
    COMPONENT_FILE,
    SHARED_COMPONENTS,
    TASK_FILE,
    find_model,
    size_factor,
    task_config,
    tasks_of,
)


@dataclass(frozen=True, kw_only=True)
class Component:
    """A folder with weights: how many numbers they hold, what they take on disk, and what its config.json says."""

    num_parameters: int
    num_bytes: int
    config: Mapping[str, Any]


def describe_model(name: str) -> dict[str, Any]:
    """A whole model: its tasks and components."""
    folder = find_model(name)
    tasks = tasks_of(folder)
    places = [*(part for part in SHARED_COMPONENTS if (folder / part).is_dir()), *(f"{task}/unet" for task in tasks)]
    components = {place: component(folder / place) for place in places}
    return {
        "kind": "model",
        "name": name,
        "folder": str(folder),
        "parameters": sum(part.num_parameters for part in components.values()),
        "bytes": sum(part.num_bytes for part in components.values()),
        "size_multiple": size_factor(folder),
        "components": {place: _values(part) for place, part in components.items()},
        "tasks": {task: task_config(name, folder, task).model_dump(mode="json") for task in tasks},
    }


def describe_task(folder: Path) -> dict[str, Any]:
    """The folder of one task: its settings and its UNet."""
    config = read_config(folder / TASK_FILE, TaskModelConfig)
    return {
        "kind": "model of one task",
        "folder": str(folder),
        "components": {"unet": _values(component(folder / "unet"))},
        "tasks": {config.task: config.model_dump(mode="json")},
    }


def describe_component(folder: Path) -> dict[str, Any]:
    """One part of a model."""
    return {"kind": "part of a model", "folder": str(folder), **_values(component(folder))}


def _values(part: Component) -> dict[str, Any]:
    return {"parameters": part.num_parameters, "bytes": part.num_bytes, "config": dict(part.config)}


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
