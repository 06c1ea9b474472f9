"""A student under training beside its teacher: a UNet of its own, or a LoRA that the teacher works without."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from jaxtyping import Float
from torch import Tensor

from videoldm.checkpoints.lora.save import save_peft
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.denoiser import Denoiser
from videoldm.models.adapters.config import LoraPreset
from videoldm.models.adapters.fresh import fresh_lora
from videoldm.models.adapters.injection import inject
from videoldm.models.adapters.low_rank import Adapter
from videoldm.pipelines.folder import STUDENT_LORA, TASK_FILE
from videoldm.pipelines.write import write_model
from videoldm.tasks.model import VideoModel
from videoldm.training.objective import Losses, Player
from videoldm.training.stages.diffusion.config import AllParameters
from videoldm.training.stages.diffusion.start import set_trained
from videoldm.training.stages.distillation.config import STUDENT_PLACE, DistillationStage, LoraStudent, WholeStudent
from videoldm.training.stages.lora.objective import export_lora, updates_module

LossFunction = Callable[[Sequence[int]], Losses]


class StudentAtWork(ABC):
    """A student and its teacher; `model` is the student's, with its own sampling."""

    model: VideoModel

    @property
    @abstractmethod
    def teacher(self) -> Denoiser:
        """The teacher, without guidance."""

    @abstractmethod
    def player(self, losses: LossFunction) -> Player:
        """Return what is trained."""

    @abstractmethod
    def export(self, folder: Path) -> None:
        """Write the student."""


class WholeAtWork(StudentAtWork):
    """A UNet of its own."""

    def __init__(self, teacher: VideoModel, *, num_steps: int) -> None:
        unet = copy.deepcopy(teacher.unet).float()
        set_trained(unet, AllParameters(), task=teacher.config.task)
        self._teacher = teacher
        self.model = replace(_in_few_steps(teacher, num_steps), unet=unet)

    @property
    def teacher(self) -> Denoiser:
        """The teacher, which has weights of its own."""
        return self._teacher.denoiser

    def player(self, losses: LossFunction) -> Player:
        """Return the student's UNet."""
        return Player("unet", self.model.unet, losses, blocks=self.model.unet.blocks)

    def export(self, folder: Path) -> None:
        """Write the student as a whole model."""
        write_model(folder, self.model)


class LoraAtWork(StudentAtWork):
    """A LoRA beside the teacher's weights."""

    def __init__(self, teacher: VideoModel, preset: LoraPreset, *, num_steps: int, seed: int) -> None:
        lora = fresh_lora(teacher.unet, preset, has_one_token=teacher.has_one_token, seed=seed)
        if not lora:
            raise InputError(f"stage.student.preset is {preset.kind}, but the teacher has no such layers")
        self.model = _in_few_steps(teacher, num_steps)
        self._injection = inject(self.model.unet, [Adapter(lora)])
        self._injection.train(0)
        self._updates = updates_module(self._injection.lora(0))

    @property
    def teacher(self) -> Denoiser:
        """The model without the LoRA."""
        return self._denoise_without

    def _denoise_without(
        self, x: Float[Tensor, "b t c h w"], sigma: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        self._injection.set_weights([0.0])
        try:
            return self.model.denoiser(x, sigma, conditioning)
        finally:
            self._injection.set_weights([1.0])

    def player(self, losses: LossFunction) -> Player:
        """Return the low-rank updates, and nothing else of the UNet."""
        return Player("lora", self._updates, losses, blocks=self.model.unet.blocks)

    def export(self, folder: Path) -> None:
        """Write the LoRA for PEFT and for diffusers, and as a student that ships with its teacher."""
        lora, unet = self._injection.lora(0), self.model.unet.config
        export_lora(folder, lora, unet)
        save_peft(folder / STUDENT_PLACE / STUDENT_LORA, lora, unet)
        write_json(folder / STUDENT_PLACE / TASK_FILE, self.model.config.model_dump(mode="json"))


def student_of(teacher: VideoModel, stage: DistillationStage, *, seed: int) -> StudentAtWork:
    """Return the student that a stage trains, as it begins."""
    match stage.student:
        case WholeStudent():
            return WholeAtWork(teacher, num_steps=stage.num_steps)
        case LoraStudent(preset=preset):
            return LoraAtWork(teacher, preset, num_steps=stage.num_steps, seed=seed)
        case _:
            assert_never(stage.student)


def _in_few_steps(teacher: VideoModel, num_steps: int) -> VideoModel:
    """Return the same networks, sampled as a student."""
    sampling = teacher.config.sampling.distilled(num_steps)
    return replace(teacher, config=teacher.config.model_copy(update={"sampling": sampling}))
