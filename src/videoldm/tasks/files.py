"""Where a model's files lie and what they say before anything is loaded; torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from videoldm.core.errors import InputError
from videoldm.tasks.config import TaskModelConfig, TaskName

if TYPE_CHECKING:
    from videoldm.tasks.parts import ModelParts


class ModelFiles(Protocol):
    """A model on disk: one of our folders or a published checkpoint."""

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    @property
    def variant(self) -> str | None:
        """Which of several precisions in its folder was asked for; None if the user did not say."""
        ...

    @property
    def unet(self) -> str | None:
        """The file of another UNet that takes the place of the model's own; None for its own."""
        ...

    @property
    def tokenizer(self) -> str | None:
        """The folder of the tokenizer that the user named; None if the model's own is to be found."""
        ...

    @property
    def tasks(self) -> Sequence[TaskName]:
        """The tasks that it has weights for."""
        ...

    @property
    def size_factor(self) -> int:
        """What height and width must be multiples of."""
        ...

    def config(self, task: TaskName) -> TaskModelConfig:
        """The configuration of one of its tasks; raises InputError if it has no such task."""
        ...

    def content_hash(self, task: TaskName) -> str:
        """A hash over the content of all files that the task reads, 40 hexadecimal digits."""
        ...

    def parts(self, task: TaskName) -> ModelParts:
        """The networks of a task, not read yet."""
        ...


def require_task(files: ModelFiles, task: TaskName) -> None:
    """Raise InputError if the model cannot do the task."""
    if task not in files.tasks:
        raise InputError(f"model {files.name} cannot do {task}, it can do {', '.join(files.tasks) or 'nothing'}")
