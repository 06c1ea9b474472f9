"""What stages that denoise have in common; torch-free."""

from __future__ import annotations

from pydantic import PositiveInt

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import Config
from videoldm.core.numbers import Share
from videoldm.diffusion.config import (
    SQUARED,
    Distance,
    IndependentNoise,
    NoiseLevels,
    TrainingNoise,
    VWeighting,
    Weighting,
)
from videoldm.tasks.config import FROM_PICTURE, TaskName
from videoldm.training.data.config import CuratedData, NoCaptions
from videoldm.training.stages.data_config import Data, PannedPictures, WorldData, check_held_out


class DenoisingStage(Config):
    """Denoising of latents: how much noise of what kind they are given, and what an error counts."""

    kind: str
    noise_levels: NoiseLevels
    noise: TrainingNoise = IndependentNoise()
    weighting: Weighting = VWeighting()
    distance: Distance = SQUARED


class ClipStage(DenoisingStage):
    """Denoising of clips under the conditions of one task."""

    dropout: DropoutConfig
    data: Data
    panned_pictures: PannedPictures | None = None
    """Clips among those of `data`; only for image-to-video, which needs no captions."""
    validation: Data
    num_validation_clips: PositiveInt = 4
    image_probability: Share = 0.0
    """How often a sample is a single frame with what is seen as caption, which the temporal layers leave alone; only
    for text-to-video."""

    def check_clips(self, task: TaskName) -> None:
        """Raise ValueError for clips that the task cannot be learned from."""
        check_held_out(self.data, self.validation)
        if self.panned_pictures and task != "image-to-video":
            raise ValueError(f"panned_pictures have no captions, which {task} needs: leave them out")
        if self.panned_pictures and not isinstance(self.data, WorldData):
            raise ValueError("panned_pictures are made like the clips of a world, data is curated: leave them out")
        if self.image_probability and task != "text-to-video":
            raise ValueError(
                f"image_probability is {self.image_probability}, only text-to-video learns from single frames: it "
                f"should be 0 for {task}"
            )
        for data in (self.data, self.validation):
            if isinstance(data, CuratedData) and isinstance(data.captions, NoCaptions) and task not in FROM_PICTURE:
                raise ValueError(f"captions are none, {task} needs them: they should be sampled")
        if isinstance(self.validation, WorldData) and self.num_validation_clips > self.validation.num_clips:
            raise ValueError(
                f"num_validation_clips is {self.num_validation_clips}, validation has {self.validation.num_clips} clips"
            )
