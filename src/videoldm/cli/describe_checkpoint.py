"""Published checkpoints as plain values."""

from __future__ import annotations

import math
from typing import Any

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.part import Part
from videoldm.cli.describe_model import Component, values_of
from videoldm.tasks.published import PublishedModel
from videoldm.tasks.published_images import is_image_model, why_no_picture


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
        "tokenizer": _tokenizer(checkpoint),
        "note": why_no_picture(checkpoint) if is_image_model(checkpoint) else None,
        "components": {name: values_of(part) for name, part in components.items()},
        "tasks": {task: files.config(task).model_dump(mode="json") for task in files.tasks},
    }


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
