"""Training of an image model on a subject by DreamBooth (arXiv 2208.12242); torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from videoldm.core.config import Config, NonNegative
from videoldm.tasks.text_to_image import TextToImage
from videoldm.training.config import TrainingConfig
from videoldm.training.data.config import ClipDimensions
from videoldm.training.stages.diffusion.config import DenoisingStage
from videoldm.training.stages.places import UNKNOWN_BASE, OwnPictures, StageInput, base_sizes, model_input
from videoldm.training.stages.stage import ForecastError, ParameterCount, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.training.forecast import StepMemory
    from videoldm.training.stages.dreambooth.objective import DreamBoothObjective

TASK = TextToImage.name


class PromptedPictures(Config):
    """Folder of pictures that one prompt describes; each is cropped to the model's size around its centre."""

    folder: str
    prompt: Annotated[str, Field(min_length=1)]


class NoPrior(Config):
    """No other pictures than the subject's."""

    kind: Literal["none"] = "none"


class PriorPreservation(Config):
    """Pictures of the subject's class in every second sample, best made by the model itself (section 3.3)."""

    kind: Literal["preserved"] = "preserved"
    pictures: PromptedPictures
    weight: NonNegative = 1.0
    """Weight of a sample of the class, where one of the subject has 1."""


Prior = Annotated[NoPrior | PriorPreservation, Field(discriminator="kind")]


class FrozenText(Config):
    """Text encoder that stays as it is."""

    kind: Literal["frozen"] = "frozen"


class TrainedText(Config):
    """Text encoder that learns with the UNet."""

    kind: Literal["trained"] = "trained"


TextEncoderTraining = Annotated[FrozenText | TrainedText, Field(discriminator="kind")]


@register_stage
class DreamBoothStage(DenoisingStage):
    """Denoising of a few pictures of one subject under one prompt, by a whole image model."""

    kind: Literal["dreambooth"] = "dreambooth"  # pyright: ignore[reportIncompatibleVariableOverride]
    base: str
    """Whole model: what a run exported, a model of the package, a folder, a single file or a name on the hub."""
    subject: PromptedPictures
    prior: Prior
    text_encoder: TextEncoderTraining = TrainedText()

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> DreamBoothObjective:
        """Load the model and encode the pictures; nothing is kept in `cache`."""
        from videoldm.training.stages.dreambooth.objective import DreamBoothObjective

        del cache
        return DreamBoothObjective(self, seed=seed, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the parameters of UNet and text encoder; empty if the model is not known."""
        from videoldm.models.clip.encoders import build_text_encoder
        from videoldm.models.unet.groups import group_of
        from videoldm.models.unet.network import VideoUNet

        base = base_sizes(self.base, TASK)
        if base is None:
            return {}
        assert base.networks.text_encoder is not None, f"{TASK} reads text"
        text = build_text_encoder(base.networks.text_encoder).requires_grad_(self.trains_text_encoder)
        parts = [(group_of(name), one) for name, one in VideoUNet(base.networks.unet).named_parameters()]
        return count_parameters([*parts, *(("text encoder", one) for one in text.parameters())])

    def step_memory(self, training: TrainingConfig, *, num_samples: int) -> StepMemory:
        """Forecast a step; raises ForecastError if the model is not known."""
        from videoldm.models.unet.network import VideoUNet
        from videoldm.training.forecast import forecast_denoising, forecast_reading_and_denoising

        base = base_sizes(self.base, TASK)
        if base is None:
            raise ForecastError(UNKNOWN_BASE)
        forecast = forecast_reading_and_denoising if self.trains_text_encoder else forecast_denoising
        networks, pictures = base.networks, ClipDimensions(1, base.height, base.width)
        return forecast(lambda: VideoUNet(networks.unet), networks, pictures, training, num_samples=num_samples)

    def folders(self) -> Sequence[StageInput]:
        """Return the model and the folders of pictures."""
        folders = {"stage.subject.folder": self.subject.folder}
        if isinstance(self.prior, PriorPreservation):
            folders["stage.prior.pictures.folder"] = self.prior.pictures.folder
        pictures = [OwnPictures(key, Path(folder)) for key, folder in folders.items()]
        return [*model_input("stage.base", self.base), *pictures]

    @property
    def trains_text_encoder(self) -> bool:
        """Whether the text encoder learns with the UNet."""
        return isinstance(self.text_encoder, TrainedText)
