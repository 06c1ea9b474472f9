"""What an image model is taught of a subject by DreamBooth (arXiv 2208.12242); torch-free."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from videoldm.core.config import Config, NonNegative
from videoldm.training.stages.diffusion.config import DenoisingStage


class PromptedPictures(Config):
    """A folder of pictures that one prompt describes; each is cut to the model's size around its centre."""

    folder: str
    prompt: Annotated[str, Field(min_length=1)]


class NoPrior(Config):
    """Nothing but the subject is shown."""

    kind: Literal["none"] = "none"


class PriorPreservation(Config):
    """Every second sample shows another member of the subject's class, best made by the model itself (section 3.3)."""

    kind: Literal["preserved"] = "preserved"
    pictures: PromptedPictures
    weight: NonNegative = 1.0
    """How much a sample of the class counts beside one of the subject."""


Prior = Annotated[NoPrior | PriorPreservation, Field(discriminator="kind")]


class FrozenText(Config):
    """The text encoder stays as it is."""

    kind: Literal["frozen"] = "frozen"


class TrainedText(Config):
    """The text encoder learns with the UNet."""

    kind: Literal["trained"] = "trained"


TextEncoderTraining = Annotated[FrozenText | TrainedText, Field(discriminator="kind")]


class DreamBoothStage(DenoisingStage):
    """Denoising of a few pictures of one subject under one prompt, by a whole text-to-image model."""

    kind: Literal["dreambooth"] = "dreambooth"  # pyright: ignore[reportIncompatibleVariableOverride]
    base: str
    """A whole model: what a run exported, in the package, a folder, a single file or a name on the hub."""
    subject: PromptedPictures
    prior: Prior
    text_encoder: TextEncoderTraining = TrainedText()
