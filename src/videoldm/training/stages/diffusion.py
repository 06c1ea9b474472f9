"""Training a UNet to denoise latents: image, video and image-to-video stages differ only in task and start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from videoldm.checkpoints.native import save_component
from videoldm.core.files import write_json
from videoldm.core.random import SampleKey, generator, python_random, seeded_initialisation
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.order import sample_index
from videoldm.diffusion.loss import denoising_loss
from videoldm.diffusion.noise import training_noise
from videoldm.diffusion.noise_levels import draw_sigmas
from videoldm.models.unet.groups import group_of
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import TASKS
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import TrainingClips, training_conditioning
from videoldm.training.latents import LatentCache
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.panned_pictures import prepare_panned_pictures
from videoldm.training.stages.config import DiffusionStage
from videoldm.training.stages.lora_config import LoraStage
from videoldm.training.stages.start import start_model
from videoldm.training.world import prepare_world
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.write import write_video

NUM_VALIDATION_LOSSES = 64


@dataclass(frozen=True)
class _Source:
    """Clips with their latents."""

    clips: ClipShards
    latents: LatentCache


class DenoisingObjective(Objective):
    """Denoising of clips' latents by a model, whatever part of it is trained."""

    def __init__(self, model: VideoModel, stage: DiffusionStage | LoraStage, *, seed: int, cache: Path) -> None:
        self._model, self._stage, self._seed = model, stage, seed
        self._task = TASKS[model.config.task]
        clips, validation_clips = _training_set(stage, cache), prepare_world(stage.validation, cache)
        self._source = _Source(clips, LatentCache(clips, self._model.autoencoder, cache))
        self._validation = _Source(validation_clips, LatentCache(validation_clips, self._model.autoencoder, cache))

    def losses(self, positions: Sequence[int]) -> Losses:
        """The denoising loss of each sample at its own noise level; clips and single frames are batches of their own.

        Which a sample is follows from its number alone, so that batches may be cut anywhere.
        """
        is_image = [self._is_image(position) for position in positions]
        rows: list[int] = []
        parts: list[Losses] = []
        for kind in sorted(set(is_image)):
            chosen = [row for row, is_of_kind in enumerate(is_image) if is_of_kind == kind]
            places = [positions[row] for row in chosen]
            indices = [sample_index(self._seed, position, len(self._source.clips)) for position in places]
            keys = [(self._seed, position) for position in places]
            parts.append(self._losses(self._source, indices, keys, is_image=kind))
            rows += chosen
        return _in_order(rows, parts)

    def validate(self, folder: Path) -> dict[str, float]:
        """The loss of held-out clips at fixed noise, and some sampled clips."""
        num_clips = len(self._validation.clips)
        count = min(NUM_VALIDATION_LOSSES, num_clips)
        stride = num_clips // count  # over all shards, as each has a rate of its own
        losses = [
            self._losses(self._validation, [i * stride], [(self._seed + 1, i)], is_image=False).per_sample
            for i in range(count)
        ]
        self._sample(folder)
        return {"loss": float(torch.cat(losses).mean())}

    def group_of(self, parameter: str) -> str:
        """What part of the UNet a parameter belongs to."""
        return group_of(parameter)

    def _is_image(self, position: int) -> bool:
        return python_random(self._seed, "image sample", position).random() < self._stage.image_probability

    def _losses(self, source: _Source, indices: Sequence[int], keys: Sequence[SampleKey], *, is_image: bool) -> Losses:
        """Losses of clips of the model's length, or of one frame of each as in the stage of pictures."""
        clips, latents = source.clips, source.latents
        task, num_frames = (TASKS["text-to-image"], 1) if is_image else (self._task, self._model.config.num_frames)
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
        clips = _training_clips(self._validation.clips, indices, keys, starts=[0] * len(indices))
        inputs = self._task.training_inputs(clips)
        pixels = sample_clips(self._model, inputs)
        labels = inputs.prompts or [record.caption for record in clips.records]
        contact_sheet(list(pixels), labels).save(folder / "clips.png")
        for index, clip in zip(indices, pixels, strict=True):
            write_video(folder / f"{index:03d}.mp4", clip, fps=clips.records[index].fps, metadata=None)


class DiffusionObjective(DenoisingObjective):
    """See `DiffusionStage`."""

    def __init__(self, stage: DiffusionStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        with seeded_initialisation(seed, "unet weights"):
            model = start_model(stage, device)
        super().__init__(model, stage, seed=seed, cache=cache)

    @property
    def players(self) -> list[Player]:
        """The UNet."""
        return [Player("unet", self._model.unet, self.losses, blocks=self._model.unet.blocks)]

    def export(self, folder: Path) -> None:
        """Write the UNet and the task's configuration."""
        write_json(folder / "model.json", self._model.config.model_dump(mode="json"))
        save_component(folder / "unet", self._model.unet, self._model.unet.config)


def _in_order(rows: Sequence[int], parts: Sequence[Losses]) -> Losses:
    """Losses of the given rows of a batch, put together in the order of the rows."""
    order = torch.tensor(rows).argsort()
    sigmas = [losses.sigma for losses in parts if losses.sigma is not None]
    per_sample: Tensor = torch.cat([losses.per_sample for losses in parts])
    return Losses(per_sample=per_sample[order.to(per_sample.device)], sigma=torch.cat(sigmas)[order])


def _training_set(stage: DiffusionStage | LoraStage, cache: Path) -> ClipShards:
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
