"""Training a LoRA: the diffusion loss of the model's task, of which the low-rank updates alone learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import assert_never

import torch
from torch import nn

from videoldm.checkpoints.lora import DIFFUSERS_WEIGHTS
from videoldm.checkpoints.native import load_autoencoder, load_unet
from videoldm.checkpoints.save_lora import save_diffusers, save_peft
from videoldm.core.config import read_config
from videoldm.core.errors import InputError
from videoldm.inference.precision import DTYPES
from videoldm.models.adapters.fresh import fresh_lora
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter, LoRA
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.files import require_task
from videoldm.tasks.folder import TASK_FILE
from videoldm.tasks.model import VideoModel, load_conditioners, load_opened
from videoldm.tasks.open import open_model
from videoldm.training.objective import Player
from videoldm.training.stages.diffusion import DenoisingObjective
from videoldm.training.stages.lora_config import ExportedRun, LoraStage, NamedModel

PEFT_FOLDER, DIFFUSERS_FOLDER = "peft", "diffusers"


class LoraObjective(DenoisingObjective):
    """See `LoraStage`."""

    def __init__(self, stage: LoraStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        model = base_model(stage, device)
        lora = fresh_lora(model.unet, stage.preset, has_one_token=model.image is not None, seed=seed)
        if not lora:
            raise InputError(f"stage.preset is {stage.preset.kind}, but the model has no such layers")
        self._injection = inject(model.unet, [Adapter(lora)])
        self._injection.train(0)
        self._updates = updates_module(self._injection.lora(0))
        super().__init__(model, stage, seed=seed, cache=cache)

    @property
    def players(self) -> list[Player]:
        """The low-rank updates, and nothing else of the UNet, under the UNet's own names."""
        return [Player("lora", self._updates, self.losses)]

    def export(self, folder: Path) -> None:
        """Write the LoRA twice: a folder of PEFT, and one of a diffusers pipeline."""
        lora, config = self._injection.lora(0), self._model.unet.config
        save_peft(folder / PEFT_FOLDER, lora, config)
        save_diffusers(folder / DIFFUSERS_FOLDER / DIFFUSERS_WEIGHTS, lora, config)


def updates_module(lora: LoRA) -> nn.Module:
    """A module that does nothing but hold the matrices of a LoRA, as parameters named `PATH.down` and `PATH.up`."""
    root = nn.Module()
    for path, update in lora.items():
        holder = root
        for name in path.split("."):
            if not hasattr(holder, name):
                holder.add_module(name, nn.Module())
            holder = holder.get_submodule(name)
        for name, matrix in (("down", update.down), ("up", update.up)):
            assert isinstance(matrix, nn.Parameter), "an injected LoRA holds parameters"
            holder.register_parameter(name, matrix)
    return root


def base_model(stage: LoraStage, device: str) -> VideoModel:
    """The frozen model that gets the LoRA, at the size of the stage's clips; raises InputError if it cannot do that."""
    model = _load(stage, device)
    factor = model.autoencoder.config.factor
    data, num_frames = stage.data, model.config.num_frames
    for clips in (stage.data, stage.validation):
        if clips.num_frames < num_frames:
            raise InputError(f"{clips.split} clips have {clips.num_frames} frames, the model makes {num_frames}")
    for name, value in (("height", data.height), ("width", data.width)):
        if value % factor:
            raise InputError(f"stage.data.{name} is {value}, it should be a multiple of {factor}")
    return _resized(model, data.height, data.width)


def _load(stage: LoraStage, device: str) -> VideoModel:
    dtype = DTYPES[stage.frozen_precision]
    match stage.base:
        case NamedModel(name=name):
            files = open_model(name)
            require_task(files, stage.task)
            return load_opened(files, stage.task, device=device, dtype=dtype)
        case ExportedRun() as run:
            return _exported(run, stage.task, device, dtype)
        case _:
            assert_never(stage.base)


def _exported(run: ExportedRun, task: TaskName, device: str, dtype: torch.dtype) -> VideoModel:
    config = read_config(Path(run.folder) / TASK_FILE, TaskModelConfig)
    if config.task != task:
        raise InputError(f"stage.task is {task}, but {run.folder} holds a model for {config.task}")
    text, image = load_conditioners(Path(run.encoders), task, device)
    return VideoModel(
        config=config,
        unet=load_unet(Path(run.folder) / "unet").requires_grad_(False).to(device, dtype),
        autoencoder=load_autoencoder(Path(run.autoencoder)).requires_grad_(False).to(device),
        text=text,
        image=image,
    )


def _resized(model: VideoModel, height: int, width: int) -> VideoModel:
    return replace(model, config=model.config.model_copy(update={"height": height, "width": width}))
