"""Training a UNet to denoise latents: image, video and image-to-video stages differ only in task and start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from videoldm.checkpoints.native import save_component
from videoldm.core.files import write_json
from videoldm.core.random import SampleKey, generator, python_random, seeded_initialisation
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.order import sample_index
from videoldm.diffusion.loss import denoising_loss
from videoldm.diffusion.noise import training_noise
from videoldm.diffusion.noise_levels import draw_sigmas
from videoldm.tasks.registry import TASKS
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Task, TrainingClips, training_conditioning
from videoldm.training.latents import LatentCache
from videoldm.training.objective import Losses
from videoldm.training.panned_pictures import prepare_panned_pictures
from videoldm.training.stages.config import DiffusionStage
from videoldm.training.stages.start import start_model
from videoldm.training.world import prepare_world
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.write import write_video

NUM_VALIDATION_LOSSES = 64


class DiffusionObjective:
    """See `DiffusionStage`."""

    def __init__(self, stage: DiffusionStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        self._stage, self._seed = stage, seed
        self._task = TASKS[stage.model.task]
        with seeded_initialisation(seed, "unet weights"):
            self._model = start_model(stage, device)
        self._clips = _training_set(stage, cache)
        self._validation_clips = prepare_world(stage.validation, cache)
        self._latents = LatentCache(self._clips, self._model.autoencoder, cache)
        self._validation_latents = LatentCache(self._validation_clips, self._model.autoencoder, cache)

    @property
    def module(self) -> nn.Module:
        """The UNet."""
        return self._model.unet

    def losses(self, positions: Sequence[int]) -> Losses:
        """The denoising loss of each sample at its own noise level; clips and single frames are batches of their own.

        Which a sample is follows from its number alone, so that batches may be cut anywhere.
        """
        indices = [sample_index(self._seed, position, len(self._clips)) for position in positions]
        keys = [(self._seed, position) for position in positions]
        is_image = [self._is_image(key) for key in keys]
        parts: list[tuple[list[int], Losses]] = []
        for kind in sorted(set(is_image)):
            rows = [row for row, is_of_kind in enumerate(is_image) if is_of_kind == kind]
            losses = self._frame_losses if kind else self._clip_losses
            found = losses(self._clips, self._latents, [indices[row] for row in rows], [keys[row] for row in rows])
            parts.append((rows, found))
        return _in_order(parts)

    def validate(self, folder: Path) -> dict[str, float]:
        """The loss of held-out clips at fixed noise, and some sampled clips."""
        count = min(NUM_VALIDATION_LOSSES, len(self._validation_clips))
        stride = len(self._validation_clips) // count  # over all shards, as each has a rate of its own
        losses = [
            self._clip_losses(
                self._validation_clips, self._validation_latents, [i * stride], [(self._seed + 1, i)]
            ).per_sample
            for i in range(count)
        ]
        self._sample(folder)
        return {"loss": float(torch.cat(losses).mean())}

    def export(self, folder: Path) -> None:
        """Write the UNet and the task's configuration."""
        write_json(folder / "model.json", self._stage.model.model_dump(mode="json"))
        save_component(folder / "unet", self._model.unet, self._model.unet.config)

    def _is_image(self, key: SampleKey) -> bool:
        seed, *position = key
        return python_random(seed, "image sample", *position).random() < self._stage.image_probability

    def _clip_losses(
        self, clips: ClipShards, latents: LatentCache, indices: Sequence[int], keys: Sequence[SampleKey]
    ) -> Losses:
        """Losses of clips of the model's length."""
        return self._losses(clips, latents, indices, keys, self._task, self._stage.model.num_frames)

    def _frame_losses(
        self, clips: ClipShards, latents: LatentCache, indices: Sequence[int], keys: Sequence[SampleKey]
    ) -> Losses:
        """Losses of one frame of each clip, as the stage of pictures has them."""
        return self._losses(clips, latents, indices, keys, TASKS["text-to-image"], 1, is_image=True)

    def _losses(
        self,
        clips: ClipShards,
        latents: LatentCache,
        indices: Sequence[int],
        keys: Sequence[SampleKey],
        task: Task,
        num_frames: int,
        *,
        is_image: bool = False,
    ) -> Losses:
        starts = [_first_frame(clips.num_frames - num_frames, key) for key in keys]
        windows = [
            latents.draw(index, *key)[start : start + num_frames]
            for index, key, start in zip(indices, keys, starts, strict=True)
        ]
        x0 = self._model.to_model_latents(torch.stack(windows).to(self._model.device))
        conditioning = training_conditioning(
            task,
            self._model,
            _training_clips(clips, indices, keys, starts),
            num_frames=num_frames,
            dropout=self._stage.dropout,
        )
        if is_image:
            only = torch.ones(x0.shape[:2], dtype=torch.bool, device=x0.device)
            conditioning = conditioning.replace(image_only=only)
        sigma = draw_sigmas(self._stage.noise_levels, [generator(seed, "noise level", *at) for seed, *at in keys])
        loss = denoising_loss(
            self._model.denoiser,
            x0,
            sigma.to(x0),
            training_noise(self._stage.noise, keys, tuple(x0.shape[1:])).to(x0),
            conditioning,
            weighting=self._stage.weighting,
            distance=self._stage.distance,
        )
        return Losses(per_sample=loss.float(), sigma=sigma)

    def _sample(self, folder: Path) -> None:
        indices = range(self._stage.num_validation_clips)
        keys = [(self._seed + i,) for i in indices]
        clips = _training_clips(self._validation_clips, indices, keys, starts=[0] * len(indices))
        inputs = self._task.training_inputs(clips)
        pixels = sample_clips(self._model, inputs)
        labels = inputs.prompts or [record.caption for record in clips.records]
        contact_sheet(list(pixels), labels).save(folder / "clips.png")
        for index, clip in zip(indices, pixels, strict=True):
            write_video(folder / f"{index:03d}.mp4", clip, fps=clips.records[index].fps, metadata=None)


def _in_order(parts: Sequence[tuple[list[int], Losses]]) -> Losses:
    """Losses of rows of a batch, put together in the order of the rows."""
    order = torch.tensor([row for rows, _ in parts for row in rows]).argsort()
    sigmas = [losses.sigma for _, losses in parts if losses.sigma is not None]
    per_sample: Tensor = torch.cat([losses.per_sample for _, losses in parts])
    return Losses(per_sample=per_sample[order.to(per_sample.device)], sigma=torch.cat(sigmas)[order])


def _training_set(stage: DiffusionStage, cache: Path) -> ClipShards:
    # Pictures first: what is wrong with them shows before the world is rendered.
    pictures = stage.panned_pictures and prepare_panned_pictures(stage.panned_pictures, stage.data, cache)
    world = prepare_world(stage.data, cache)
    return ClipShards(world.paths + pictures.paths) if pictures else world


def _first_frame(last_start: int, key: SampleKey) -> int:
    """Where in a clip that is longer than the model's a sample begins."""
    seed, *position = key
    return int(torch.randint(last_start + 1, (), generator=generator(seed, "first frame", *position)))


def _training_clips(
    clips: ClipShards, indices: Sequence[int], keys: Sequence[SampleKey], starts: Sequence[int]
) -> TrainingClips:
    return TrainingClips(
        samples=keys,
        records=[clips.records[i] for i in indices],
        first_frames=torch.stack([clips.frame(i, start) for i, start in zip(indices, starts, strict=True)]),
    )
