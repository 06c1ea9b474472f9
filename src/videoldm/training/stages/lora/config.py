"""Training of a LoRA: on which clips, and of which model; torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from videoldm.models.adapters.config import LoraPreset
from videoldm.training.config import Sharded, TrainingConfig
from videoldm.training.stages.diffusion.config import ClipStage, FinishedModelStage
from videoldm.training.stages.places import UNKNOWN_BASE, StageInput, base_sizes, model_input
from videoldm.training.stages.stage import ForecastError, ParameterCount, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.models.unet.network import VideoUNet
    from videoldm.training.forecast import StepMemory
    from videoldm.training.stages.lora.objective import LoraObjective


@register_stage
class LoraStage(FinishedModelStage, ClipStage):
    """Denoising of latents by a frozen model with a LoRA beside its weights.

    Clips are taken at their own size and the model's length; the first bucket of curated clips gives both.
    """

    kind: Literal["lora"] = "lora"  # pyright: ignore[reportIncompatibleVariableOverride]
    base: str
    """Whole model: what a run exported, a model of the package, a folder, a single file or a name on the hub."""
    preset: LoraPreset

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> LoraObjective:
        """Load the model, put a LoRA beside its weights and open the clips."""
        from videoldm.training.stages.lora.objective import LoraObjective

        return LoraObjective(self, seed=seed, cache=cache, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the parameters of the LoRA and of the UNet that it changes; empty if the model is not known."""
        from videoldm.models.adapters.fresh import num_lora_parameters
        from videoldm.models.unet.groups import group_of
        from videoldm.models.unet.network import VideoUNet

        base = base_sizes(self.base, self.task)
        if base is None:
            return {}
        unet = VideoUNet(base.networks.unet).requires_grad_(False)
        trained = num_lora_parameters(unet, self.preset, has_one_token=self.has_one_token)
        frozen = count_parameters((group_of(name), parameter) for name, parameter in unet.named_parameters())
        return {"lora": ParameterCount(trained, 0), **frozen}

    def step_memory(self, training: TrainingConfig, *, num_samples: int) -> StepMemory:
        """Forecast a step; raises ForecastError if the model is not known."""
        from videoldm.inference.precision import DTYPES
        from videoldm.models.adapters.fresh import put_stand_ins
        from videoldm.models.unet.network import VideoUNet
        from videoldm.training.forecast import default_dtype, forecast_denoising

        base = base_sizes(self.base, self.task)
        if base is None:
            raise ForecastError(UNKNOWN_BASE)

        def make() -> VideoUNet:
            with default_dtype(DTYPES[self.frozen_precision]):
                unet = VideoUNet(base.networks.unet).requires_grad_(False)
            put_stand_ins(unet, self.preset, has_one_token=self.has_one_token)
            return unet

        clips = self.data.largest_clips(base.networks.num_frames)
        return forecast_denoising(make, base.networks, clips, training, num_samples=num_samples)

    def folders(self) -> Sequence[StageInput]:
        """Return the model and the folder of pictures."""
        return [*model_input("stage.base", self.base), *super().folders()]

    def check_training(self, training: TrainingConfig) -> None:
        """Raise ValueError if the LoRA is to be sharded."""
        super().check_training(training)
        is_sharded = isinstance(training.execution.distributed, Sharded)
        if is_sharded:
            raise ValueError("execution.distributed is sharded, a LoRA is small: it should be replicated")
