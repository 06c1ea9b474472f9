"""Training of the autoencoder; torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from videoldm.core.config import NonNegative, Share
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.training.data.config import WorldData
from videoldm.training.stages.places import SamplePictures
from videoldm.training.stages.stage import ParameterCount, Stage, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.training.stages.autoencoder.objective import AutoencoderObjective


@register_stage
class AutoencoderStage(Stage):
    """Reconstruction and a light pull of the posterior to a standard normal.

    The loss of a frame is the logarithm of its squared error, PSNR but for the unit, so that easy frames count as much
    as hard ones; `kl_weight` is to be seen against that.
    """

    kind: Literal["autoencoder"] = "autoencoder"  # pyright: ignore[reportIncompatibleVariableOverride]
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

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> AutoencoderObjective:
        """Build the autoencoder and open frames and pictures."""
        from videoldm.training.stages.autoencoder.objective import AutoencoderObjective

        return AutoencoderObjective(self, seed=seed, cache=cache, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the autoencoder's parameters, all of which are trained."""
        from videoldm.models.autoencoder.network import Autoencoder

        return count_parameters(("autoencoder", parameter) for parameter in Autoencoder(self.model).parameters())

    def folders(self) -> Sequence[SamplePictures]:
        """Return the folder of pictures, if there is one."""
        return [SamplePictures("stage.pictures", Path(self.pictures))] if self.pictures else []

    @property
    def exported_parts(self) -> Mapping[str, str]:
        """The autoencoder."""
        return {"autoencoder": "."}
