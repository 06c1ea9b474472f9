"""Training a UNet to denoise latents: image, video and image-to-video stages differ only in task and start."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import assert_never

import torch

from videoldm.checkpoints.native import load_autoencoder, load_unet, save_component
from videoldm.core.errors import InputError
from videoldm.core.files import write_json
from videoldm.core.random import SampleKey, generator, normal, seeded_initialisation
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.order import sample_index
from videoldm.diffusion.loss import denoising_loss
from videoldm.diffusion.noise_levels import draw_sigmas
from videoldm.models.unet.network import VideoUNet
from videoldm.models.unet.surgery import extend_concat_channels, insert_temporal_layers, is_temporal
from videoldm.tasks.model import VideoModel, load_conditioners
from videoldm.tasks.registry import TASKS
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import TrainingClips, training_conditioning
from videoldm.training.latents import LatentCache
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.panned_pictures import prepare_panned_pictures
from videoldm.training.stages.config import DiffusionStage, FromImageModel, FromScratch, FromVideoModel
from videoldm.training.world import prepare_world
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.write import write_video

NUM_VALIDATION_LOSSES = 64


class DiffusionObjective(Objective):
    """See `DiffusionStage`."""

    def __init__(self, stage: DiffusionStage, *, seed: int, cache: Path, device: str = "cpu") -> None:
        self._stage, self._seed = stage, seed
        self._task = TASKS[stage.model.task]
        with seeded_initialisation(seed, "unet weights"):
            self._model = _model(stage, device)
        self._clips = _training_set(stage, cache)
        self._validation_clips = prepare_world(stage.validation, cache)
        self._latents = LatentCache(self._clips, self._model.autoencoder, cache)
        self._validation_latents = LatentCache(self._validation_clips, self._model.autoencoder, cache)

    @property
    def players(self) -> list[Player]:
        """The UNet."""
        return [Player("unet", self._model.unet, self.losses, blocks=self._model.unet.blocks)]

    def losses(self, positions: Sequence[int]) -> Losses:
        """The denoising loss of each sample at its own noise level."""
        indices = [sample_index(self._seed, position, len(self._clips)) for position in positions]
        keys = [(self._seed, position) for position in positions]
        return self._losses(self._clips, self._latents, indices, keys)

    def validate(self, folder: Path) -> dict[str, float]:
        """The loss of held-out clips at fixed noise, and some sampled clips."""
        count = min(NUM_VALIDATION_LOSSES, len(self._validation_clips))
        stride = len(self._validation_clips) // count  # over all shards, as each has a rate of its own
        losses = [
            self._losses(
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

    def group_of(self, parameter: str) -> str:
        """Temporal layers, or the image model that they were inserted into."""
        return "temporal" if is_temporal(parameter) else "spatial"

    def _losses(
        self, clips: ClipShards, latents: LatentCache, indices: Sequence[int], keys: Sequence[SampleKey]
    ) -> Losses:
        num_frames = self._stage.model.num_frames
        starts = [_first_frame(clips.num_frames - num_frames, key) for key in keys]
        windows = [
            latents.draw(index, *key)[start : start + num_frames]
            for index, key, start in zip(indices, keys, starts, strict=True)
        ]
        x0 = self._model.to_model_latents(torch.stack(windows).to(self._model.device))
        conditioning = training_conditioning(
            self._task,
            self._model,
            _training_clips(clips, indices, keys, starts),
            num_frames=num_frames,
            dropout=self._stage.dropout,
        )
        sigma = draw_sigmas(self._stage.noise_levels, [generator(seed, "noise level", *at) for seed, *at in keys])
        noise = torch.stack([normal(tuple(x0.shape[1:]), seed, "noise", *at) for seed, *at in keys])
        loss = denoising_loss(
            self._model.denoiser,
            x0,
            sigma.to(x0),
            noise.to(x0),
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


def _model(stage: DiffusionStage, device: str) -> VideoModel:
    text, image = load_conditioners(Path(stage.encoders), stage.model.task, device)
    autoencoder = load_autoencoder(Path(stage.autoencoder))
    _check_widths(
        stage, autoencoder.config.latent_channels, [part.context_dim for part in (text, image) if part is not None]
    )
    return VideoModel(
        config=stage.model,
        unet=_checked(_start_unet(stage), stage).to(device),
        autoencoder=autoencoder.requires_grad_(False).to(device),
        text=text,
        image=image,
    )


def _check_widths(stage: DiffusionStage, latent_channels: int, context_dims: Sequence[int]) -> None:
    """Refuse a UNet that takes other latents or another context than the parts that it works with give."""
    wanted = [("in_channels", latent_channels), ("out_channels", latent_channels)]
    if stage.unet.concat_channels:
        wanted.append(("concat_channels", latent_channels))
    wanted += [("context_dim", dim) for dim in context_dims]
    for key, value in wanted:
        if getattr(stage.unet, key) != value:
            raise InputError(
                f"stage.unet.{key} is {getattr(stage.unet, key)}, stage.autoencoder and stage.encoders need {value}"
            )


def _checked(unet: VideoUNet, stage: DiffusionStage) -> VideoUNet:
    """Refuse a start from weights that are not those of the UNet that the stage describes."""
    there, wanted = unet.config.model_dump(), stage.unet.model_dump()
    differing = [key for key in wanted if there[key] != wanted[key]]
    if differing:
        raise InputError(
            f"stage.unet has {', '.join(f'{key}={wanted[key]}' for key in differing)}, but the weights of "
            f"stage.start have {', '.join(f'{key}={there[key]}' for key in differing)}"
        )
    return unet


def _start_unet(stage: DiffusionStage) -> VideoUNet:
    match stage.start:
        case FromScratch():
            return VideoUNet(stage.unet)
        case FromImageModel(folder=folder):
            return insert_temporal_layers(load_unet(Path(folder) / "unet"), stage.unet.temporal_layers)
        case FromVideoModel(folder=folder):
            unet = load_unet(Path(folder) / "unet")
            return extend_concat_channels(unet, stage.unet.concat_channels - unet.config.concat_channels)
        case _:
            assert_never(stage.start)
