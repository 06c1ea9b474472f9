"""References to models, and the interface of their files before anything is loaded; torch-free."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from videoldm.core.config import Config
from videoldm.core.errors import InputError
from videoldm.diffusion.config import PredictionType
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Need

if TYPE_CHECKING:
    from videoldm.pipelines.parts import ModelParts


class ModelRef(Config):
    """A model as a user names it. Trust in pickles is not part of it: it is given again each time files are opened."""

    name: str
    """A model in the package, a folder, a file or a name on the hub."""
    variant: str | None = None
    """One of several precisions in a pipeline's folder, such as "fp16"."""
    unet: str | None = None
    """The file of another UNet for a published model; None for its own."""
    tokenizer: str | None = None
    """The folder of a tokenizer; None if the model's own is to be found."""
    prediction_type: PredictionType | None = None
    """What a model of Stable Diffusion predicts, noise or v; None if its files, a measurement or its name tell."""
    student: str | None = None
    """The folder, within the model's, of its student that makes the clip in few steps; None for the model itself."""


class ModelFiles(Protocol):
    """A model on disk: one of our folders or a published checkpoint."""

    @property
    def ref(self) -> ModelRef:
        """The reference by which it was opened."""
        ...

    @property
    def tasks(self) -> Sequence[TaskName]:
        """The tasks that it has weights for."""
        ...

    @property
    def size_factor(self) -> int:
        """The number that height and width must be multiples of."""
        ...

    @property
    def obstacle(self) -> str | None:
        """The reason why no clip can be made with it at all; None if there is none."""
        ...

    def config(self, task: TaskName) -> TaskModelConfig:
        """Return the configuration of one of its tasks; raise InputError if it has no such task."""
        ...

    def content_hash(self, task: TaskName) -> str:
        """Return a hash over the content of all files that the task reads, 40 hexadecimal digits."""
        ...

    def parts(self, task: TaskName) -> ModelParts:
        """Return the networks of a task, not read yet."""
        ...


def abilities(files: ModelFiles) -> str:
    """Return the model's tasks as a list for messages, each with what it needs."""
    tasks = [task_named(name) for name in files.tasks]
    return ", ".join(f"{task.name} (from {listed(task.needs)})" for task in tasks) or "nothing"


def listed(needs: Iterable[Need]) -> str:
    """Return inputs as words for messages, such as "a picture and a text"."""
    return " and ".join(f"a {need}" for need in sorted(needs))


def require_task(files: ModelFiles, task: TaskName) -> None:
    """Raise InputError if the model cannot do the task."""
    if task not in files.tasks:
        raise InputError(f"model {files.ref.name} cannot do {task}, it can do {', '.join(files.tasks) or 'nothing'}")
