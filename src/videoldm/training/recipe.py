"""A run: what is trained and how; torch-free."""

from typing import Self

from pydantic import model_validator

from videoldm.core.config import Config
from videoldm.training.config import TrainingConfig
from videoldm.training.data.config import CuratedData
from videoldm.training.stages.diffusion.config import ClipStage
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.stage import Stage
from videoldm.training.stages.temporal_decoder.config import TemporalDecoderStage


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
    def _batches_are_those_of_the_buckets(self) -> Self:
        if isinstance(self.stage, ClipStage | TemporalDecoderStage) and isinstance(self.stage.data, CuratedData):
            largest = max(bucket.batch_size for bucket in self.stage.data.buckets)
            if self.training.batch_size != largest:
                raise ValueError(
                    f"training.batch_size is {self.training.batch_size}, the largest batch of stage.data.buckets is "
                    f"{largest} (stage.data.buckets.0.batch_size and so on): both should be the same"
                )
        return self

    @model_validator(mode="after")
    def _lora_is_whole(self) -> Self:
        is_sharded = self.training.execution.distributed.kind == "sharded"
        if isinstance(self.stage, LoraStage) and is_sharded:
            raise ValueError("execution.distributed is sharded, a LoRA is small: it should be replicated")
        return self
