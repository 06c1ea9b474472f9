"""What a LoRA is trained on, and of which model; torch-free."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import PositiveInt, model_validator

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
from videoldm.inference.config import Precision
from videoldm.models.adapters.config import LoraPreset
from videoldm.training.data.config import CuratedData, NoCaptions
from videoldm.training.stages.data_config import Data, PannedPictures, WorldData

Task = Literal["text-to-image", "text-to-video", "image-to-video"]
READING: frozenset[Task] = frozenset({"text-to-image", "text-to-video"})


class LoraStage(Config):
    """Denoising of latents by a frozen model with a LoRA beside its weights.

    The size is that in which the clips come, the length that of the model; of curated clips the first bucket has both.
    """

    kind: Literal["lora"] = "lora"
    base: str
    """A whole model: what a run exported, in the package, a folder, a single file or a name on the hub."""
    task: Task
    preset: LoraPreset
    frozen_precision: Precision = "float32"
    """Of the UNet's own weights; those of the LoRA are in float32."""
    data: Data
    panned_pictures: PannedPictures | None = None
    """Clips among those of `data`; only for image-to-video, which needs no captions."""
    validation: Data
    image_probability: Share = 0.0
    """How often a sample is a single frame with what is seen as caption; only for text-to-video."""
    noise_levels: NoiseLevels
    noise: TrainingNoise = IndependentNoise()
    weighting: Weighting = VWeighting()
    distance: Distance = SQUARED
    dropout: DropoutConfig
    num_validation_clips: PositiveInt = 4

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.panned_pictures and self.task != "image-to-video":
            raise ValueError(f"panned_pictures have no captions, which {self.task} needs: leave them out")
        if self.image_probability and self.task != "text-to-video":
            raise ValueError(f"image_probability is {self.image_probability}, it should be 0 for {self.task}")
        for data in (self.data, self.validation):
            if isinstance(data, CuratedData) and isinstance(data.captions, NoCaptions) and self.task in READING:
                raise ValueError(f"captions are none, {self.task} needs them: they should be sampled")
        if self.panned_pictures and not isinstance(self.data, WorldData):
            raise ValueError("panned_pictures are made like the clips of a world, data is curated: leave them out")
        if isinstance(self.validation, WorldData) and self.num_validation_clips > self.validation.num_clips:
            raise ValueError(
                f"num_validation_clips is {self.num_validation_clips}, validation has {self.validation.num_clips} clips"
            )
        return self
