"""Training a UNet to denoise latents; stages of all tasks differ only in task, start and data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core import ranks
from videoldm.core.random import SampleKey, generator, python_random, seeded_initialisation
from videoldm.dataset.clips import ClipShards, to_pixels, to_stored
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.loss import denoising_loss
from videoldm.diffusion.noise import draw_sigmas, training_noise
from videoldm.measures.temporal import video_motion
from videoldm.models.unet.groups import group_of
from videoldm.pipelines.write import write_model
from videoldm.tasks.conditioning import training_conditioning
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs, TrainingClips
from videoldm.training.data.config import CuratedData, Data, PannedPictures, WorldData
from videoldm.training.data.curated_windows import curated_windows
from videoldm.training.data.latents import LatentCache
from videoldm.training.data.pictures import prepare_panned_pictures
from videoldm.training.data.samples import CuratedTrainingData, RenderedTrainingData, Samples, TrainingData
from videoldm.training.data.world import chosen_clips, prepare_world
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.stages.diffusion.config import ClipStage, DenoisingStage, DiffusionStage
from videoldm.training.stages.diffusion.start import start_model
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.write import write_video

NUM_VALIDATION_LOSSES = 64


class DenoisingObjective(Objective):
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
        self._model, self._stage, self._seed = model, stage, seed
        self._task = task_named(model.config.task)
        self._still_task = task_named(self._task.still_task or self._task.name)
        self._data, self._validation = data, validation
        self.readers = data.reader, validation.reader

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

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the loss of held-out clips at fixed noise, and write some sampled clips."""
        count = min(NUM_VALIDATION_LOSSES, self._validation.num_clips)
        losses = ranks.map_over_ranks(range(count), lambda numbers: [self._held_out_loss(i, count) for i in numbers])
        return {"loss": math.fsum(losses) / count, **self._sample(folder), **self.skipped()}

    def _held_out_loss(self, number: int, count: int) -> float:
        samples = self._validation.held_out(number, count, (self._seed + 1, number))
        return float(self._losses(samples, is_image=False).per_sample)

    def group_of(self, parameter: str) -> str:
        """Return the part of the UNet that a parameter belongs to."""
        return group_of(parameter)

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

    def _sample(self, folder: Path) -> dict[str, float]:
        """Write clips made from the inputs of held-out ones; return how much moves in both."""
        count = min(self._stage.num_validation_clips, self._validation.num_clips)
        clips = self._validation.shown([(self._seed + i,) for i in range(count)])
        frames = ranks.map_over_ranks(
            range(count), lambda rows: list(to_stored(sample_clips(self._model, self._inputs(clips[rows]))).cpu())
        )
        pixels, records = [to_pixels(clip) for clip in frames], clips.records
        if ranks.is_first():
            contact_sheet(pixels, self._inputs(clips).prompts or [one.caption for one in records]).save(
                folder / "clips.png"
            )
            for index, clip in enumerate(pixels):
                write_video(folder / f"{index:03d}.mp4", clip, fps=records[index].fps, metadata=None)
        if len(pixels[0]) == 1:
            return {}
        made = [float(video_motion(clip, one.fps)) for clip, one in zip(pixels, records, strict=True)]
        return {
            "motion": math.fsum(made) / count,
            "motion_of_clips": math.fsum(one.motion for one in records) / count,
        }

    def _inputs(self, clips: TrainingClips) -> Inputs:
        return self._task.training_inputs(clips)


class DiffusionObjective(DenoisingObjective):
    """Training of the UNet of a whole model."""

    def __init__(self, stage: DiffusionStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        with seeded_initialisation(seed, "unet weights"):
            model = start_model(stage, device)
        data, validation = open_data(stage, model, cache, seed=seed)
        super().__init__(model, stage, seed=seed, data=data, validation=validation)

    @property
    def players(self) -> list[Player]:
        """The UNet."""
        return [Player("unet", self._model.unet, self.losses, blocks=self._model.unet.blocks)]

    def export(self, folder: Path) -> None:
        """Write the whole model."""
        write_model(folder, self._model)


def open_data(stage: ClipStage, model: VideoModel, cache: Path, *, seed: int) -> tuple[TrainingData, TrainingData]:
    """Open the clips to train on and those to validate on, with their latents; what is not rendered yet is made."""
    data = _open(stage.data, stage.panned_pictures, model, cache, seed=seed)
    return data, _open(stage.validation, None, model, cache, seed=seed)


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


def _open(data: Data, pictures: PannedPictures | None, model: VideoModel, cache: Path, *, seed: int) -> TrainingData:
    config = model.config
    match data:
        case WorldData():
            clips = _rendered(data, pictures, cache)
            latents = LatentCache(clips, model.autoencoder, cache)
            return RenderedTrainingData(
                clips,
                latents,
                chosen=chosen_clips(data, clips),
                num_frames=config.num_frames,
                seed=seed,
                signals=data.signals,
            )
        case CuratedData():
            bucket = data.bucket_of(height=config.height, width=config.width, num_frames=config.num_frames)
            assert bucket is not None, "the stage's configuration is valid"
            windows = curated_windows(data, model.autoencoder, cache, seed=seed, main_bucket=bucket)
            return CuratedTrainingData(windows, seed=seed)
        case _:
            assert_never(data)


def _rendered(data: WorldData, pictures: PannedPictures | None, cache: Path) -> ClipShards:
    # Pictures first: what is wrong with them shows before the world is rendered.
    panned = pictures and prepare_panned_pictures(pictures, data, cache)
    world = prepare_world(data, cache)
    return ClipShards(world.paths + panned.paths) if panned else world


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
