"""Models and their parts as plain values, read from configurations and the headers of weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from videoldm.cli.model_folder import (
    TASK_FILE,
    Component,
    component,
    find_model,
    read_config,
    size_factor,
    task_config,
    tasks_of,
)
from videoldm.tasks.config import TaskModelConfig

SHARED_COMPONENTS = ("autoencoder", "text_encoder", "image_encoder")


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
