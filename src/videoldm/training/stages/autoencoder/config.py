"""Training of the autoencoder; torch-free."""

from typing import Literal, Self

from pydantic import model_validator

from videoldm.core.config import Config, NonNegative, Share
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.training.data.config import WorldData


class AutoencoderStage(Config):
    """Reconstruction and a light pull of the posterior to a standard normal.

    The loss of a frame is the logarithm of its squared error, PSNR but for the unit, so that easy frames count as much
    as hard ones; `kl_weight` is to be seen against that.
    """

    kind: Literal["autoencoder"] = "autoencoder"
    model: AutoencoderConfig
    data: WorldData
    validation: WorldData
    pictures: str = ""
    picture_fraction: Share = 0.0
    kl_weight: NonNegative = 1e-3

    @model_validator(mode="after")
    def _pictures_are_named(self) -> Self:
        if self.picture_fraction and not self.pictures:
            raise ValueError(f"picture_fraction is {self.picture_fraction}, but pictures names no folder")
        return self
