"""A run: what is trained and how; torch-free."""

from typing import Self

from pydantic import model_validator

from videoldm.core.config import Config
from videoldm.training.config import TrainingConfig
from videoldm.training.stages.config import EncodersStage, Stage
from videoldm.training.stages.lora_config import LoraStage


class Recipe(Config):
    """Everything that decides a run's outcome; its YAML dump beside the weights repeats it."""

    name: str
    summary: str
    stage: Stage
    training: TrainingConfig

    @model_validator(mode="after")
    def _batches_stay_whole(self) -> Self:
        if isinstance(self.stage, EncodersStage) and self.training.accumulation_steps > 1:
            raise ValueError("accumulation_steps must be 1: a contrastive loss compares the samples of a whole batch")
        return self

    @model_validator(mode="after")
    def _lora_is_whole(self) -> Self:
        is_sharded = self.training.execution.distributed.kind == "sharded"
        if isinstance(self.stage, LoraStage) and is_sharded:
            raise ValueError("execution.distributed is sharded, a LoRA is small: it should be replicated")
        return self
