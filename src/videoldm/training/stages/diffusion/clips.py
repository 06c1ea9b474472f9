"""What all stages on clips of one task share: their clips with latents, validation, and sampled clips to look at."""

from __future__ import annotations

import math
from abc import abstractmethod
from pathlib import Path
from typing import assert_never

from videoldm.core import ranks
from videoldm.dataset.clips import to_pixels, to_stored
from videoldm.measures.temporal import video_motion
from videoldm.models.unet.groups import group_of
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs, TrainingClips
from videoldm.training.data.config import CuratedData, Data, PannedPictures, WorldData
from videoldm.training.data.curated_windows import curated_windows
from videoldm.training.data.latents import LatentCache
from videoldm.training.data.pictures import world_and_pictures
from videoldm.training.data.samples import CuratedTrainingData, RenderedTrainingData, Samples, TrainingData
from videoldm.training.data.world import chosen_clips
from videoldm.training.objective import Losses, Objective
from videoldm.training.stages.diffusion.config import TaskStage
from videoldm.video.contact_sheet import contact_sheet
from videoldm.video.write import write_video

NUM_VALIDATION_LOSSES = 64


class TaskObjective(Objective):
    """Training on clips of one task; a subclass says what is trained and by which loss."""

    def __init__(
        self,
        model: VideoModel,
        stage: TaskStage,
        *,
        seed: int,
        data: TrainingData,
        validation: TrainingData,
    ) -> None:
        self._model, self._seed = model, seed
        self._num_shown = stage.num_validation_clips
        self._task = task_named(model.config.task)
        self._data, self._validation = data, validation
        self.readers = data.reader, validation.reader

    @abstractmethod
    def losses_of_clips(self, samples: Samples) -> Losses:
        """Return the loss of each sample."""

    def validate(self, folder: Path) -> dict[str, float]:
        """Measure the loss of held-out clips at fixed noise, and write some sampled clips."""
        count = min(NUM_VALIDATION_LOSSES, self._validation.num_clips)
        losses = ranks.map_over_ranks(range(count), lambda numbers: [self._held_out_loss(i, count) for i in numbers])
        return {"loss": math.fsum(losses) / count, **self._sample(folder), **self.skipped()}

    def _held_out_loss(self, number: int, count: int) -> float:
        samples = self._validation.held_out(number, count, (self._seed + 1, number))
        return float(self.losses_of_clips(samples).per_sample)

    def group_of(self, parameter: str) -> str:
        """Return the part of the UNet that a parameter belongs to."""
        return group_of(parameter)

    def _sample(self, folder: Path) -> dict[str, float]:
        """Write clips made from the inputs of held-out ones; return how much moves in both."""
        clips = self._held_out_clips(self._num_shown)
        count = len(clips.records)
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

    def _held_out_clips(self, most: int) -> TrainingClips:
        """Return the first held-out clips, at most that many."""
        count = min(most, self._validation.num_clips)
        return self._validation.shown([(self._seed + i,) for i in range(count)])

    def _inputs(self, clips: TrainingClips) -> Inputs:
        return self._task.training_inputs(clips)


def open_data(stage: TaskStage, model: VideoModel, cache: Path, *, seed: int) -> tuple[TrainingData, TrainingData]:
    """Open the clips to train on and those to validate on, with their latents; what is not rendered yet is made."""
    data = _open(stage.data, stage.panned_pictures, model, cache, seed=seed)
    return data, _open(stage.validation, None, model, cache, seed=seed)


def _open(data: Data, pictures: PannedPictures | None, model: VideoModel, cache: Path, *, seed: int) -> TrainingData:
    config = model.config
    match data:
        case WorldData():
            clips = world_and_pictures(data, pictures, cache)
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
