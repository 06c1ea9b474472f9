"""Finding a model by what a user calls it."""

from __future__ import annotations

import re
from pathlib import Path

from videoldm.assets.models import shipped_models
from videoldm.core.errors import InputError
from videoldm.inference.config import LADDER, Speed
from videoldm.pipelines.folder import NativeFolder, is_native
from videoldm.pipelines.reference import ModelFiles, ModelRef, require_task
from videoldm.tasks.config import TaskName

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*(/[\w./-]+\.safetensors)?")


def may_be_model(name: str) -> bool:
    """Whether the name is that of a model in the package or may be one on the hub."""
    return name in shipped_models() or _HUB_ID.fullmatch(name) is not None


def open_model(model: ModelRef | str) -> ModelFiles:
    """Open a model that is in the package, a folder (ours or a pipeline of diffusers), a file, or a model of the hub.

    No weights are read. Pickles are refused outside of `pickles_trusted`; inside, only their tensors are read. Raises
    InputError if there is no such model or its files do not fit together.
    """
    ref = ModelRef(name=model) if isinstance(model, str) else model
    shipped = shipped_models()
    path = shipped.get(ref.name, Path(ref.name))
    if not ref.name.strip():
        raise InputError("model is '', it should be a name or a path")
    if path.is_dir() and is_native(path):
        others = {
            "another UNet": ref.unet,
            "another tokenizer": ref.tokenizer,
            "a variant": ref.variant,
            "a prediction type": ref.prediction_type,
        }
        for what, given in others.items():
            if given is not None:
                raise InputError(f"model {ref.name} is one of ours, {what} ({given}) goes with published models only")
        files = NativeFolder(ref=ref, folder=path)
        if not files.tasks_folder.is_dir():
            raise InputError(f"model {ref.name} has no student {ref.student!r}")
        return files
    if ref.student is not None:
        raise InputError(f"model {ref.name} is not one of ours, a student ({ref.student}) goes with those only")
    if path.exists() or _HUB_ID.fullmatch(ref.name):
        from videoldm.pipelines.published import open_published

        return open_published(ref)
    raise InputError(
        f"model {ref.name!r} is neither in the package ({', '.join(shipped)}) nor a folder or file nor a name on the "
        "hub such as stabilityai/stable-video-diffusion-img2vid"
    )


def open_to_sample(model: ModelRef | str) -> ModelFiles:
    """Open a model as `open_model` does, to make clips or another layout of it.

    What an image model predicts is measured where its files do not say it, which reads its weights once.
    """
    files = open_model(model)
    if isinstance(files, NativeFolder):
        return files
    from videoldm.pipelines.prediction import with_known_prediction
    from videoldm.pipelines.published import PublishedModel

    assert isinstance(files, PublishedModel), "there are no other models"
    return with_known_prediction(files)


def at_speed(files: ModelFiles, task: TaskName, speed: Speed) -> ModelFiles:
    """Return the files that make clips at that speed: those of a student, if the speed asks for one and it is there."""
    students = files.students if isinstance(files, NativeFolder) and LADDER[speed].takes_student else ()
    return next((student for student in students if task in student.tasks), files)


def open_for_task(model: ModelRef | str, task: TaskName) -> ModelFiles:
    """Open a model as `open_model` does; also raise InputError if it cannot do the task."""
    files = open_model(model)
    require_task(files, task)
    return files
