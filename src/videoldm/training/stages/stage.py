"""The stages."""

from typing import Annotated

from pydantic import Field

from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.dreambooth.config import DreamBoothStage
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.judge.config import JudgeStage
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.temporal_decoder.config import TemporalDecoderStage

Stage = Annotated[
    AutoencoderStage | EncodersStage | JudgeStage | DiffusionStage | LoraStage | DreamBoothStage | TemporalDecoderStage,
    Field(discriminator="kind"),
]
