"""The tasks by name; torch-free. `register` adds further ones."""

from __future__ import annotations

from collections.abc import Sequence

from videoldm.core.errors import hint
from videoldm.tasks.image_to_video import ImageToVideo
from videoldm.tasks.multi_view import MultiView
from videoldm.tasks.task import Need, Task
from videoldm.tasks.text_to_image import TextToImage
from videoldm.tasks.text_to_video import TextToVideo

_TASKS: dict[str, Task] = {}


def register(task: Task) -> Task:
    """Add a task under its name; of several that accept the same inputs, a model does the one registered last."""
    assert task.name not in _TASKS, f"there is a task {task.name} already"
    _TASKS[task.name] = task
    return task


def unregister(task: Task) -> None:
    """Remove a task."""
    del _TASKS[task.name]


def all_tasks() -> Sequence[Task]:
    """Return all tasks in the order in which they were registered."""
    return list(_TASKS.values())


def task_named(name: str) -> Task:
    """Return the task of that name; raise ValueError if there is none."""
    if name not in _TASKS:
        known = f"the tasks are {', '.join(_TASKS)}"
        raise ValueError(f"unknown task {name!r}, {hint(name, _TASKS, known)}")
    return _TASKS[name]


def accepting_task(names: Sequence[str], given: frozenset[Need]) -> Task | None:
    """Return which of a model's tasks makes clips from these inputs; None if none does."""
    return next((task for task in reversed(all_tasks()) if task.name in names and task.accepts(given)), None)


for _task in (TextToImage(), TextToVideo(), ImageToVideo(), MultiView()):
    register(_task)
