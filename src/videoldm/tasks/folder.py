"""The folder of a model, and what its files say before it is loaded; torch-free.

It holds `autoencoder`, `text_encoder`, `image_encoder` and `judge`, which the tasks share and of which the last three
may be missing, and a folder of the task's name with `model.json` and `unet` for each task that the model can do.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast, get_args

from videoldm.assets.models import model_folder
from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.core.hashing import files_hash
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.tasks.config import TaskModelConfig, TaskName

TASK_FILE = "model.json"
COMPONENT_FILE = "config.json"
RECIPE_FILE = "recipe.yaml"
"""How a part was trained; nothing reads it but people and `videoldm train`."""
SHARED_COMPONENTS = ("autoencoder", "text_encoder", "image_encoder", "judge")


def find_model(name: str) -> Path:
    """The folder of the model called `name`: a shipped one or a path; raises InputError if there is none."""
    folder = model_folder(name)
    if not (folder / "autoencoder" / COMPONENT_FILE).is_file():
        raise InputError(f"model {name} is no model folder: it has no autoencoder/{COMPONENT_FILE}")
    return folder


def tasks_of(folder: Path) -> list[TaskName]:
    """The tasks that the model in `folder` has weights for."""
    return [task for task in cast("tuple[TaskName, ...]", get_args(TaskName)) if (folder / task / TASK_FILE).is_file()]


def task_config(name: str, folder: Path, task: TaskName) -> TaskModelConfig:
    """The configuration of one task; raises InputError if the model cannot do it."""
    able = tasks_of(folder)
    if task not in able:
        raise InputError(f"model {name} cannot do {task}, it can do {', '.join(able) or 'nothing'}")
    return read_config(folder / task / TASK_FILE, TaskModelConfig)


def encoder_of(task: TaskName) -> str:
    """The folder of the encoder that a task's model looks or reads with."""
    return "image_encoder" if task == "image-to-video" else "text_encoder"


def size_factor(folder: Path) -> int:
    """What height and width must be multiples of."""
    return read_config(folder / "autoencoder" / COMPONENT_FILE, AutoencoderConfig).factor


def content_hash(folder: Path, task: TaskName) -> str:
    """A hash over the names and bytes of all files that one task of the model reads, 40 hexadecimal digits."""
    parts = [folder / "autoencoder", folder / encoder_of(task), folder / task]
    return files_hash(folder, [path for part in parts for path in part.rglob("*") if path.name != RECIPE_FILE])
