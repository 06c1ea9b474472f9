"""Training a LoRA: the diffusion loss of the model's task, from which the low-rank updates alone learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import nn

from videoldm.checkpoints.lora.read import DIFFUSERS_WEIGHTS
from videoldm.checkpoints.lora.save import save_diffusers, save_peft
from videoldm.core.errors import InputError
from videoldm.inference.config import Precision
from videoldm.inference.precision import DTYPES
from videoldm.models.adapters.fresh import fresh_lora
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter, LoRA
from videoldm.models.unet.config import UNetConfig
from videoldm.pipelines.load import LoadedModel, load_opened
from videoldm.pipelines.open import open_for_task
from videoldm.tasks.config import TaskName
from videoldm.training.objective import Player
from videoldm.training.stages.diffusion.clips import open_data
from videoldm.training.stages.diffusion.config import TaskStage
from videoldm.training.stages.diffusion.objective import DenoisingObjective
from videoldm.training.stages.lora.config import LoraStage

PEFT_FOLDER, DIFFUSERS_FOLDER = "peft", "diffusers"


class LoraObjective(DenoisingObjective):
    """Training of a LoRA beside the weights of a frozen model."""

    def __init__(self, stage: LoraStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        model = base_model(stage.base, stage.task, stage, device, precision=stage.frozen_precision)
        lora = fresh_lora(model.unet, stage.preset, has_one_token=model.has_one_token, seed=seed)
        if not lora:
            raise InputError(f"stage.preset is {stage.preset.kind}, but the model has no such layers")
        self._injection = inject(model.unet, [Adapter(lora)])
        self._injection.train(0)
        self._updates = updates_module(self._injection.lora(0))
        data, validation = open_data(stage, model, cache, seed=seed)
        super().__init__(model, stage, seed=seed, data=data, validation=validation)

    @property
    def players(self) -> list[Player]:
        """The low-rank updates, and nothing else of the UNet, under the UNet's own names."""
        return [Player("lora", self._updates, self.losses, blocks=self._model.unet.blocks)]

    def export(self, folder: Path) -> None:
        """Write the LoRA twice: a folder of PEFT, and one of a diffusers pipeline."""
        export_lora(folder, self._injection.lora(0), self._model.unet.config)


def export_lora(folder: Path, lora: LoRA, config: UNetConfig) -> None:
    """Write a LoRA twice: a folder of PEFT, and one of a diffusers pipeline."""
    save_peft(folder / PEFT_FOLDER, lora, config)
    save_diffusers(folder / DIFFUSERS_FOLDER / DIFFUSERS_WEIGHTS, lora, config)


def updates_module(lora: LoRA) -> nn.Module:
    """Return a module that only holds the matrices of a LoRA, as parameters named `PATH.down` and `PATH.up`."""
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


def base_model(name: str, task: TaskName, stage: TaskStage, device: str, *, precision: Precision) -> LoadedModel:
    """Load a frozen model at the size of the stage's clips; raise InputError if these do not suit it."""
    model = load_opened(open_for_task(name, task), task, device=device, dtype=DTYPES[precision])
    size, factor = stage.data.first_clips(model.config.num_frames), model.autoencoder.config.factor
    for key, value in (("height", size.height), ("width", size.width)):
        if value % factor:
            raise InputError(f"stage.data has a {key} of {value}, it should be a multiple of {factor}")
    for which, data in (("data", stage.data), ("validation", stage.validation)):
        if not data.has_clips(size):
            raise InputError(
                f"stage.{which} has no clips of {size.height}x{size.width} with {size.num_frames} frames, it should"
            )
    return replace(model, config=model.config.model_copy(update=size._asdict()))
