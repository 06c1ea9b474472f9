"""Published checkpoints as plain values."""

from __future__ import annotations

import math
from typing import Any

from videoldm.checkpoints.part import Part
from videoldm.cli.describe_model import Component, values_of
from videoldm.tasks.published import PublishedModel


def describe_checkpoint(files: PublishedModel) -> dict[str, Any]:
    """A published checkpoint, whatever its layout; all of its keys and shapes have been checked."""
    checkpoint = files.checkpoint
    components = {name: _component(part) for name, part in checkpoint.parts().items()}
    return {
        "kind": "model",
        "name": files.name,
        "layout": checkpoint.layout,
        "preset": checkpoint.preset,
        "parameters": sum(part.num_parameters for part in components.values()),
        "bytes": sum(part.num_bytes for part in components.values()),
        "size_multiple": files.size_factor,
        "components": {name: values_of(part) for name, part in components.items()},
        "tasks": {task: files.config(task).model_dump(mode="json") for task in files.tasks},
    }


def _component(part: Part[Any, Any]) -> Component:
    tensors = part.tensors.values()
    return Component(
        num_parameters=sum(math.prod(tensor.shape) for tensor in tensors),
        num_bytes=sum(tensor.num_bytes for tensor in tensors),
        config=part.config.model_dump(mode="json"),
    )
