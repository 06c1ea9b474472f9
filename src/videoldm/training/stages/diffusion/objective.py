"""Training a UNet to denoise latents; stages of all tasks differ only in task, start and data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.random import SampleKey, generator, python_random, seeded_initialisation
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.loss import denoising_loss
from videoldm.diffusion.noise import draw_sigmas, training_noise
from videoldm.pipelines.write import write_model
from videoldm.tasks.conditioning import training_conditioning
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.training.data.samples import Samples, TrainingData
from videoldm.training.objective import Losses, Player
from videoldm.training.stages.diffusion.clips import TaskObjective, open_data
from videoldm.training.stages.diffusion.config import ClipStage, DenoisingStage, DiffusionStage
from videoldm.training.stages.diffusion.motion_calibration import calibrated
from videoldm.training.stages.diffusion.start import start_model


class DenoisingObjective(TaskObjective):
    """Denoising of the latents of clips by a model, whatever part of it is trained."""

    def __init__(
        self,
        model: VideoModel,
        stage: ClipStage,
        *,
        seed: int,
        data: TrainingData,
        validation: TrainingData,
    ) -> None:
        super().__init__(model, stage, seed=seed, data=data, validation=validation)
        self._stage = stage
        self._still_task = task_named(self._task.still_task or self._task.name)

    def losses(self, positions: Sequence[int]) -> Losses:
        """Return the loss of each sample at its own noise level; clips and single frames are batches of their own.

        Whether a sample is a clip follows from its number alone, so batches may be cut anywhere.
        """
        self._data.reader.announce(positions)
        is_image = [self._is_image(position) for position in positions]
        rows: list[int] = []
        parts: list[Losses] = []
        for kind in sorted(set(is_image)):
            chosen = [row for row, is_of_kind in enumerate(is_image) if is_of_kind == kind]
            places = [positions[row] for row in chosen]
            parts.append(self._losses(self._data.samples(places, is_image=kind), is_image=kind))
            rows += chosen
        return _in_order(rows, parts)

    def losses_of_clips(self, samples: Samples) -> Losses:
        """Return the loss of each clip at its own noise level."""
        return self._losses(samples, is_image=False)

    def _is_image(self, position: int) -> bool:
        return python_random(self._seed, "image sample", position).random() < self._stage.image_probability

    def _losses(self, samples: Samples, *, is_image: bool) -> Losses:
        """Return the losses of clips, or of one frame of each under the conditions of the still task."""
        x0 = self._model.to_model_latents(samples.latents.to(self._model.device))
        conditioning = training_conditioning(
            self._still_task if is_image else self._task,
            self._model,
            samples.clips,
            num_frames=x0.shape[1],
            dropout=self._stage.dropout,
        )
        if is_image:
            only = torch.ones(x0.shape[:2], dtype=torch.bool, device=x0.device)
            conditioning = conditioning.replace(image_only=only)
        return denoising_losses(
            self._model, self._stage, x0, conditioning, keys=samples.clips.samples, waiting_s=samples.waiting_s
        )


class DiffusionObjective(DenoisingObjective):
    """Training of the UNet of a whole model."""

    def __init__(self, stage: DiffusionStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        with seeded_initialisation(seed, "unet weights"):
            model = start_model(stage, device)
        data, validation = open_data(stage, model, cache, seed=seed)
        super().__init__(model, stage, seed=seed, data=data, validation=validation)
        self._motion_probe = stage.motion_probe

    @property
    def players(self) -> list[Player]:
        """The UNet."""
        return [Player("unet", self._model.unet, self.losses, blocks=self._model.unet.blocks)]

    def measure(self) -> None:
        """Calibrate the model's motion, if the stage asks for it."""
        if self._motion_probe is not None:
            clips = self._held_out_clips(self._motion_probe.num_clips)
            self._model = calibrated(self._model, clips, self._motion_probe.buckets)

    def export(self, folder: Path) -> None:
        """Write the whole model."""
        write_model(folder, self._model)


def denoising_losses(
    model: VideoModel,
    stage: DenoisingStage,
    x0: Float[Tensor, "b t c h w"],
    conditioning: Conditioning,
    *,
    keys: Sequence[SampleKey],
    waiting_s: float = 0.0,
) -> Losses:
    """Return the loss of each sample of model latents at its own noise level and noise, both drawn by its key."""
    sigma = draw_sigmas(stage.noise_levels, [generator(seed, "noise level", *at) for seed, *at in keys])
    loss = denoising_loss(
        model.denoiser,
        x0,
        sigma.to(x0),
        training_noise(stage.noise, keys, tuple(x0.shape[1:])).to(x0),
        conditioning,
        weighting=stage.weighting,
        distance=stage.distance,
    )
    return Losses(per_sample=loss.float(), sigma=sigma, waiting_s=waiting_s)


def _in_order(rows: Sequence[int], parts: Sequence[Losses]) -> Losses:
    """Join the losses of parts of a batch in the order of their rows."""
    order = torch.tensor(rows).argsort()
    sigmas = [losses.sigma for losses in parts if losses.sigma is not None]
    per_sample: Tensor = torch.cat([losses.per_sample for losses in parts])
    return Losses(
        per_sample=per_sample[order.to(per_sample.device)],
        sigma=torch.cat(sigmas)[order],
        waiting_s=sum(losses.waiting_s for losses in parts),
    )
