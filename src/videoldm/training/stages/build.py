"""From a stage's configuration to its objective; only the stage that is asked for is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from videoldm.training.stages.config import AutoencoderStage, DiffusionStage, EncodersStage, JudgeStage, Stage
from videoldm.training.stages.dreambooth_config import DreamBoothStage
from videoldm.training.stages.lora_config import LoraStage
from videoldm.training.stages.temporal_decoder_config import TemporalDecoderStage

if TYPE_CHECKING:
    from videoldm.training.objective import Objective


def build_objective(stage: Stage, seed: int, cache: Path, device: str = "cpu") -> Objective:
    """The objective that a stage describes; renders and encodes its data if `cache` lacks them."""
    match stage:
        case AutoencoderStage():
            from videoldm.training.stages.autoencoder import AutoencoderObjective

            return AutoencoderObjective(stage, seed=seed, cache=cache, device=device)
        case EncodersStage():
            from videoldm.training.stages.encoders import EncodersObjective

            return EncodersObjective(stage, seed=seed, cache=cache, device=device)
        case JudgeStage():
            from videoldm.training.stages.judge import JudgeObjective

            return JudgeObjective(stage, seed=seed, cache=cache, device=device)
        case DiffusionStage():
            from videoldm.training.stages.diffusion import DiffusionObjective

            return DiffusionObjective(stage, seed=seed, cache=cache, device=device)
        case LoraStage():
            from videoldm.training.stages.lora import LoraObjective

            return LoraObjective(stage, seed=seed, cache=cache, device=device)
        case DreamBoothStage():
            from videoldm.training.stages.dreambooth import DreamBoothObjective

            return DreamBoothObjective(stage, seed=seed, device=device)
        case TemporalDecoderStage():
            from videoldm.training.stages.temporal_decoder import TemporalDecoderObjective

            return TemporalDecoderObjective(stage, seed=seed, cache=cache, device=device)
        case _:
            assert_never(stage)
