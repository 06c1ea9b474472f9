"""Finished models that a stage starts from, with everything that their task needs, frozen."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import torch

from videoldm.checkpoints.native import load_autoencoder, load_unet
from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.files import require_task
from videoldm.tasks.folder import TASK_FILE
from videoldm.tasks.model import VideoModel, load_conditioners, load_opened
from videoldm.tasks.open import open_model
from videoldm.training.stages.base_config import Base, ExportedRun, NamedModel


def load_base(base: Base, task: TaskName, *, dtype: torch.dtype, device: str) -> VideoModel:
    """The model for a task, its UNet in `dtype`; raises InputError if there is none or it cannot do the task."""
    match base:
        case NamedModel(name=name):
            files = open_model(name)
            require_task(files, task)
            return load_opened(files, task, device=device, dtype=dtype)
        case ExportedRun() as run:
            return _exported(run, task, device, dtype)
        case _:
            assert_never(base)


def _exported(run: ExportedRun, task: TaskName, device: str, dtype: torch.dtype) -> VideoModel:
    config = read_config(Path(run.folder) / TASK_FILE, TaskModelConfig)
    if config.task != task:
        raise InputError(f"{run.folder}: holds a model for {config.task}, the stage is about {task}")
    text, image = load_conditioners(Path(run.encoders), task, device)
    return VideoModel(
        config=config,
        unet=load_unet(Path(run.folder) / "unet").requires_grad_(False).to(device, dtype),
        autoencoder=load_autoencoder(Path(run.autoencoder)).requires_grad_(False).to(device),
        text=text,
        image=image,
    )
