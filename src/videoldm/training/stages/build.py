"""From a stage's configuration to its objective; only the stage that is asked for is imported."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.dreambooth.config import DreamBoothStage
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.judge.config import JudgeStage
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.stage import Stage
from videoldm.training.stages.temporal_decoder.config import TemporalDecoderStage

if TYPE_CHECKING:
    from videoldm.training.objective import Objective


def build_objective(stage: Stage, seed: int, cache: Path, device: str = "cpu") -> Objective:
    """The objective that a stage describes; renders and encodes its data if `cache` lacks them."""
    match stage:
        case AutoencoderStage():
            from videoldm.training.stages.autoencoder.objective import AutoencoderObjective

            return AutoencoderObjective(stage, seed=seed, cache=cache, device=device)
        case EncodersStage():
            from videoldm.training.stages.encoders.objective import EncodersObjective

            return EncodersObjective(stage, seed=seed, cache=cache, device=device)
        case JudgeStage():
            from videoldm.training.stages.judge.objective import JudgeObjective

            return JudgeObjective(stage, seed=seed, cache=cache, device=device)
        case DiffusionStage():
            from videoldm.training.stages.diffusion.objective import DiffusionObjective

            return DiffusionObjective(stage, seed=seed, cache=cache, device=device)
        case LoraStage():
            from videoldm.training.stages.lora.objective import LoraObjective

            return LoraObjective(stage, seed=seed, cache=cache, device=device)
        case DreamBoothStage():
            from videoldm.training.stages.dreambooth.objective import DreamBoothObjective

            return DreamBoothObjective(stage, seed=seed, device=device)
        case TemporalDecoderStage():
            from videoldm.training.stages.temporal_decoder.objective import TemporalDecoderObjective

            return TemporalDecoderObjective(stage, seed=seed, cache=cache, device=device)
        case _:
            assert_never(stage)
