"""A run: what is trained and how; torch-free."""

from typing import Self

from pydantic import model_validator

from videoldm.core.config import Config
from videoldm.training.config import TrainingConfig
from videoldm.training.stages.stage import AnyStage


class Recipe(Config):
    """Everything that decides a run's outcome; its YAML dump beside the weights repeats it."""

    name: str
    summary: str
    stage: AnyStage
    training: TrainingConfig

    @model_validator(mode="after")
    def _stage_can_be_trained_so(self) -> Self:
        self.stage.check_training(self.training)
        return self

    def batch_sizes(self) -> list[tuple[str, int]]:
        """Sizes of batches with their keys: one for all, or one for each bucket of curated clips."""
        curated = self.stage.curated_training_data
        if curated is None:
            return [("training.batch_size", self.training.batch_size)]
        return [(f"stage.data.buckets.{i}.batch_size", one.batch_size) for i, one in enumerate(curated.buckets)]
