"""Distillation: a student learns to reach the end of a segment of noise levels in one step, where its teacher ends."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import torch
from jaxtyping import Float, Int
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.random import SampleKey, generator
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.config import IndependentNoise
from videoldm.diffusion.denoiser import over_clip
from videoldm.diffusion.distillation import consistency_target, segments_of, solution_target
from videoldm.diffusion.guidance import Guided
from videoldm.diffusion.loss import weighted_distance
from videoldm.diffusion.noise import training_noise
from videoldm.tasks.conditioning import training_conditioning, unconditional
from videoldm.training.data.samples import Samples
from videoldm.training.objective import Losses, Player
from videoldm.training.stages.diffusion.clips import TaskObjective, open_data
from videoldm.training.stages.distillation.config import Consistency, DistillationStage, Solution
from videoldm.training.stages.distillation.student import student_of
from videoldm.training.stages.lora.objective import base_model


class DistillationObjective(TaskObjective):
    """Training of a student: its prediction is that of the step which ends where the teacher's way does."""

    def __init__(self, stage: DistillationStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        teacher = base_model(stage.teacher, stage.task, stage, device, precision=stage.frozen_precision)
        self._student = student_of(teacher, stage, seed=seed)
        self._stage, self._guidance = stage, teacher.config.sampling.guidance
        data, validation = open_data(stage, teacher, cache, seed=seed)
        super().__init__(self._student.model, stage, seed=seed, data=data, validation=validation)
        with torch.no_grad():
            self._drop = unconditional(self._task, teacher)
        self._segments = segments_of(
            self._model.config.sampling.schedule, num_steps=stage.num_steps, size=stage.target.teacher_steps
        )

    @property
    def players(self) -> list[Player]:
        """The student."""
        return [self._student.player(self.losses)]

    def losses(self, positions: Sequence[int]) -> Losses:
        """Return the loss of each sample at a level of its own."""
        self._data.reader.announce(positions)
        return self.losses_of_clips(self._data.samples(positions, is_image=False))

    def losses_of_clips(self, samples: Samples) -> Losses:
        """Return the distance of the student's predictions to their targets."""
        x0 = self._model.to_model_latents(samples.latents.to(self._model.device))
        conditioning = training_conditioning(
            self._task, self._model, samples.clips, num_frames=x0.shape[1], dropout=DropoutConfig()
        )
        keys = samples.clips.samples
        start = self._starts(keys)
        sigma = self._segments.sigmas[start].to(x0)
        x = x0 + over_clip(sigma) * training_noise(IndependentNoise(), keys, tuple(x0.shape[1:])).to(x0)
        target = self._target(x, start.to(x0.device), conditioning)
        predicted = self._model.denoiser(x, sigma, conditioning)
        loss = weighted_distance(
            predicted, target, sigma, weighting=self._stage.weighting, distance=self._stage.distance
        )
        return Losses(per_sample=loss.float(), sigma=sigma.cpu(), waiting_s=samples.waiting_s)

    def export(self, folder: Path) -> None:
        """Write the student."""
        self._student.export(folder)

    def _starts(self, keys: Sequence[SampleKey]) -> Int[Tensor, " b"]:
        """Draw the number of the level of each sample."""
        generators = [generator(seed, "distillation level", *at) for seed, *at in keys]
        drawn = torch.stack([torch.randint(self._segments.num_starts, (), generator=one) for one in generators])
        return self._segments.first(drawn) if isinstance(self._stage.target, Solution) else drawn

    def _target(
        self, x: Float[Tensor, "b t c h w"], start: Int[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        teacher = Guided(self._student.teacher, self._guidance, drop=self._drop)
        match self._stage.target:
            case Consistency():
                student = self._model.denoiser
                return consistency_target(teacher, x, start, self._segments, conditioning, finish=student)
            case Solution():
                return solution_target(teacher, x, start, self._segments, conditioning)
            case _:
                assert_never(self._stage.target)
