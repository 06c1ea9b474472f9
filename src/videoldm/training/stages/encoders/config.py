"""Training of the text and the image encoder; torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from videoldm.core.errors import InputError
from videoldm.models.clip.config import ImageEncoderConfig, TextEncoderConfig
from videoldm.training.config import TrainingConfig
from videoldm.training.data.config import WorldData
from videoldm.training.stages.stage import ParameterCount, Stage, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.training.stages.encoders.objective import EncodersObjective


@register_stage
class EncodersStage(Stage):
    """A text and an image encoder that agree on which caption belongs to which frame (CLIP).

    The contrastive loss compares the samples of a whole batch, so a batch is neither accumulated nor shared.
    """

    kind: Literal["encoders"] = "encoders"  # pyright: ignore[reportIncompatibleVariableOverride]
    text: TextEncoderConfig
    image: ImageEncoderConfig
    data: WorldData
    validation: WorldData

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> EncodersObjective:
        """Build both encoders, train the tokenizer and open the clips."""
        from videoldm.training.stages.encoders.objective import EncodersObjective

        return EncodersObjective(self, seed=seed, cache=cache, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the parameters of both encoders, all of which are trained."""
        from videoldm.models.clip.encoders import build_image_encoder, build_text_encoder

        networks = {"text encoder": build_text_encoder(self.text), "image encoder": build_image_encoder(self.image)}
        return count_parameters((name, part) for name, network in networks.items() for part in network.parameters())

    def check_training(self, training: TrainingConfig) -> None:
        """Raise ValueError if batches are accumulated from parts."""
        super().check_training(training)
        if training.accumulation_steps > 1:
            raise ValueError("accumulation_steps must be 1: a contrastive loss compares the samples of a whole batch")

    def check_processes(self, num_processes: int) -> None:
        """Raise InputError for more than one process."""
        if num_processes > 1:
            raise InputError(
                f"a contrastive loss compares the samples of a whole batch: there should be 1 process and not "
                f"{num_processes}"
            )

    @property
    def exported_parts(self) -> Mapping[str, str]:
        """Both encoders."""
        return {"text_encoder": "text_encoder", "image_encoder": "image_encoder"}
