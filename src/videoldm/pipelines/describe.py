"""Descriptions of models and their parts as plain values, read from configurations and the headers of weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from safetensors import SafetensorError, safe_open

from videoldm.checkpoints.storage.file_names import PEFT_CONFIG
from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.core.reading import read_mapping
from videoldm.pipelines.folder import COMPONENT_FILE, SHARED_COMPONENTS, STUDENT_LORA, TASK_FILE, UNET, NativeFolder
from videoldm.pipelines.open import open_model
from videoldm.pipelines.reference import ModelFiles, ModelRef
from videoldm.tasks.config import TaskModelConfig

if TYPE_CHECKING:
    from videoldm.checkpoints.checkpoint import Checkpoint
    from videoldm.checkpoints.part import Part
    from videoldm.pipelines.published import PublishedModel


@dataclass(frozen=True, kw_only=True)
class Component:
    """A folder with weights: how many numbers they hold, what they take on disk, and their configuration."""

    num_parameters: int
    num_bytes: int
    config: Mapping[str, Any]


def describe_model(model: ModelRef) -> dict[str, Any]:
    """A whole model: its tasks and components."""
    files = open_model(model)
    if isinstance(files, NativeFolder):
        return describe_native(files)
    from videoldm.pipelines.published import PublishedModel

    assert isinstance(files, PublishedModel)
    return describe_checkpoint(files)


def describe_native(files: NativeFolder) -> dict[str, Any]:
    """A model in our own layout."""
    folder = files.folder
    shared = [part for part in SHARED_COMPONENTS if (folder / part).is_dir()]
    unets = [files.unet_folder(task) for task in files.tasks]
    students = [student.lora(task) or student.unet_folder(task) for student in files.students for task in student.tasks]
    places = [*shared, *(place.relative_to(folder).as_posix() for place in [*unets, *students])]
    components = {place: component(folder / place) for place in places}
    return {
        "kind": "model",
        "name": files.ref.name,
        "folder": str(folder),
        "parameters": sum(part.num_parameters for part in components.values()),
        "bytes": sum(part.num_bytes for part in components.values()),
        "size_multiple": files.size_factor,
        "components": {place: values_of(part) for place, part in components.items()},
        "tasks": _tasks(files),
        **{f"{student.ref.student}": _tasks(student) for student in files.students},
    }


def _tasks(files: ModelFiles) -> dict[str, Any]:
    return {task: files.config(task).model_dump(mode="json") for task in files.tasks}


def describe_task(folder: Path) -> dict[str, Any]:
    """The folder of one task: its settings, and its UNet or a student's LoRA."""
    config = read_config(folder / TASK_FILE, TaskModelConfig)
    part = STUDENT_LORA if (folder / STUDENT_LORA).is_dir() else UNET
    return {
        "kind": "model of one task",
        "folder": str(folder),
        "components": {part: values_of(component(folder / part))},
        "tasks": {config.task: config.model_dump(mode="json")},
    }


def describe_component(folder: Path) -> dict[str, Any]:
    """One part of a model."""
    return {"kind": "part of a model", "folder": str(folder), **values_of(component(folder))}


def values_of(part: Component) -> dict[str, Any]:
    """A part as plain values."""
    return {"parameters": part.num_parameters, "bytes": part.num_bytes, "config": dict(part.config)}


def component(folder: Path) -> Component:
    """Count the weights in `folder` by their headers alone."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: has no weights, it should hold a .safetensors file")
    return Component(
        num_parameters=sum(_count(file) for file in files),
        num_bytes=sum(file.stat().st_size for file in files),
        config=read_mapping(folder / (PEFT_CONFIG if (folder / PEFT_CONFIG).is_file() else COMPONENT_FILE)),
    )


def _count(path: Path) -> int:
    try:
        with safe_open(path, framework="np") as file:
            names = cast("list[str]", file.keys())
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is cut off or broken ({error})") from None


def describe_checkpoint(files: PublishedModel) -> dict[str, Any]:
    """A published checkpoint, whatever its layout; all of its keys and shapes have been checked."""
    checkpoint = files.checkpoint
    components = {name: _component(part) for name, part in checkpoint.parts().items()}
    return {
        "kind": "model",
        "name": files.ref.name,
        "layout": checkpoint.layout,
        "preset": checkpoint.preset,
        "parameters": sum(part.num_parameters for part in components.values()),
        "bytes": sum(part.num_bytes for part in components.values()),
        "size_multiple": files.size_factor,
        "tokenizer": _tokenizer(checkpoint),
        "prediction": _prediction(checkpoint),
        "note": files.obstacle,
        "components": {name: values_of(part) for name, part in components.items()},
        "tasks": _tasks(files),
    }


def _prediction(checkpoint: Checkpoint) -> str | None:
    """What an image model predicts and how that is known; None where the files of the model state it."""
    from videoldm.pipelines.prediction import assumed_prediction

    return assumed_prediction(checkpoint)


def _tokenizer(checkpoint: Checkpoint) -> str | None:
    """Where it lies; None for a model that reads no text."""
    if checkpoint.text_encoder is None:
        return None
    found = checkpoint.tokenizer
    return "none here, generate fetches it from the hub or takes --tokenizer" if found is None else str(found.folder)


def _component(part: Part[Any, Any]) -> Component:
    tensors = part.tensors.values()
    return Component(
        num_parameters=sum(math.prod(tensor.shape) for tensor in tensors),
        num_bytes=sum(tensor.num_bytes for tensor in tensors),
        config=part.config.model_dump(mode="json"),
    )
