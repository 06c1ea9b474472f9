"""What clips are made from, as users give it, and the task that makes clips from it; torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash
from videoldm.pipelines.reference import ModelFiles, abilities, listed
from videoldm.tasks.registry import accepting_task, all_tasks
from videoldm.tasks.task import Need, Task
from videoldm.video.picture_files import find_pictures

INPUT_FIELDS = MappingProxyType({Need.PICTURE: "image", Need.TEXT: "prompt"})
"""The field of `ClipInputs` that holds each kind of input."""
FILE_FIELDS = ("image",)
"""The fields of `ClipInputs` that name files; a request has the hash of each beside it, as image_hash."""


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("should say what the clip shows")
    return text


Prompt = Annotated[str, AfterValidator(_not_blank)]


class ClipInputs(Config):
    """What clips are made from: a field for each kind of input, None where it is not given."""

    image: str | None = None
    """A picture, or a folder: every picture in it, sorted by name."""
    prompt: Prompt | None = None
    """A sentence that says what the clip shows, instead of a picture; a model that draws makes a picture of it."""

    @property
    def given(self) -> frozenset[Need]:
        """The kinds of input that are given."""
        return frozenset(need for need, name in INPUT_FIELDS.items() if getattr(self, name) is not None)

    @property
    def files(self) -> list[Path]:
        """The files among the inputs."""
        return [Path(path) for name in FILE_FIELDS if (path := getattr(self, name)) is not None]

    @property
    def label(self) -> str:
        """The inputs in messages: the paths of files, or else the text."""
        return ", ".join(map(str, self.files)) or self.prompt or ""

    def inputs_by_name(self) -> dict[str, Any]:
        """Return what is given, without the fields of subclasses."""
        return {name: value for name in ClipInputs.model_fields if (value := getattr(self, name)) is not None}

    def file_hashes(self) -> dict[str, str]:
        """Return the hash of each given file by its name in a request, such as image_hash."""
        return {f"{name}_hash": file_hash(path) for name in FILE_FIELDS if (path := getattr(self, name)) is not None}


def inputs_of_each(inputs: ClipInputs) -> list[ClipInputs]:
    """Return the inputs of single clips: each picture where a folder is given; raise InputError for missing files."""
    given = inputs.inputs_by_name()
    if inputs.image is None:
        return [ClipInputs(**given)]
    return [ClipInputs(**given | {"image": str(path)}) for path in find_pictures(inputs.image)]


def files_of(inputs: Sequence[ClipInputs]) -> list[Path]:
    """Return the files of several clips."""
    return [path for one in inputs for path in one.files]


def check_inputs(inputs: ClipInputs) -> None:
    """Raise InputError for inputs that no task makes clips from, whatever the model."""
    if any(task.accepts(inputs.given) for task in all_tasks()):
        return
    if not inputs.given:
        kinds = " or ".join(f"a {need} ({name})" for need, name in INPUT_FIELDS.items())
        raise InputError(f"nothing to make a clip from: give {kinds}")
    values = " and ".join(f"a {need} ({getattr(inputs, INPUT_FIELDS[need])!r})" for need in sorted(inputs.given))
    fault = "alone" if len(inputs.given) == 1 else "together: give one of them, texts in quotes"
    raise InputError(f"no model takes {values} {fault}")


def task_for(files: ModelFiles, inputs: ClipInputs) -> Task:
    """Return the task by which the model makes clips from what is given; raise InputError if there is none."""
    task = accepting_task(files.tasks, inputs.given)
    if task is not None:
        return task
    if files.obstacle is not None:
        raise InputError(f"model {files.ref.name}: {files.obstacle}")
    raise InputError(f"model {files.ref.name} makes nothing from {listed(inputs.given)}, it can do {abilities(files)}")
