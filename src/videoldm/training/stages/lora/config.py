"""What a LoRA is trained on, and of which model; torch-free."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from videoldm.inference.config import Precision
from videoldm.models.adapters.config import LoraPreset
from videoldm.training.stages.diffusion.config import ClipStage

Task = Literal["text-to-image", "text-to-video", "image-to-video"]


class LoraStage(ClipStage):
    """Denoising of latents by a frozen model with a LoRA beside its weights.

    The size is that in which the clips come, the length that of the model; of curated clips the first bucket has both.
    """

    kind: Literal["lora"] = "lora"  # pyright: ignore[reportIncompatibleVariableOverride]
    base: str
    """A whole model: what a run exported, in the package, a folder, a single file or a name on the hub."""
    task: Task
    preset: LoraPreset
    frozen_precision: Precision = "float32"
    """Of the UNet's own weights; those of the LoRA are in float32."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        self.check_clips(self.task)
        return self
