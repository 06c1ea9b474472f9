"""Settings of the measures; torch-free."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from videoldm.core.config import Config


class FarnebackConfig(Config):
    """Farneback flow; the defaults were the most accurate of a grid on 64-pixel frames moved by 0.25 to 8 pixels."""

    method: Literal["farneback"] = "farneback"
    working_short_side: int = Field(default=64, ge=16)
    num_levels: int = Field(default=4, ge=1)
    """Levels of the pyramid, each half the size of the last; OpenCV drops those smaller than 32 pixels."""
    window_px: int = Field(default=13, ge=3)
    num_iterations: int = Field(default=20, ge=1)
    polynomial_px: int = Field(default=5, ge=3)
    polynomial_sigma: float = Field(default=1.1, gt=0)


class DisConfig(Config):
    """Flow by dense inverse search: patches of 8 pixels, from coarse to fine, the finest at half the size."""

    method: Literal["dis"] = "dis"
    working_short_side: int = Field(default=112, ge=64)
    """With 112 a wide picture has one level more than with 96, so that larger movements are found."""
    stride_px: int = Field(default=8, ge=1, le=8)
    """Distance from one patch to the next."""
    num_iterations: int = Field(default=16, ge=1)
    """Maximum for each patch at each level; fast zooms and rolls come out 6 % too small with 8, 1 % with 16."""


class CameraFitConfig(Config):
    """Robust fit of the camera's motion to a flow map."""

    num_iterations: int = Field(default=10, ge=1)
    """Iterations in each of the two phases."""
    grid_px: int = Field(default=32, ge=2)
    """Number of grid positions along the frame's short side at which flow is sampled, approximately."""
    margin_px: int = Field(default=0, ge=0)
    """Number of rows and columns at each edge that are ignored."""
    min_scale_px: float = Field(default=0.02, gt=0)
    """Residuals below this are never outliers, so that an exact flow does not shrink the scale to zero."""
    tuning: float = Field(default=4.685, gt=0)
    """Tukey's constant, 95 % efficient for normal residuals; flow off by more than this many scales has no weight."""


class CameraThresholds(Config):
    """Thresholds above which a camera is not static.

    In the synthetic world pans are 0.15 to 0.21 and zooms 0.17 to 0.23.
    """

    pan: float = Field(default=0.05, gt=0)
    """Short sides of the frame per second."""
    zoom: float = Field(default=0.05, gt=0)
    """Logarithm of the magnification per second."""
    roll: float = Field(default=0.1, gt=0)
    """Radians per second."""


class FeatureNetworkConfig(Config):
    """Size of the feature network and its classes.

    heads: class names in label order, for each property that is classified ("shape", "colour", ...).
    """

    heads: dict[str, tuple[str, ...]]
    frame_px: int = Field(default=64, ge=16)
    """Frames are resized to squares of this side."""
    widths: tuple[PositiveInt, ...] = (32, 64, 80)
    """Channels of each level; the first works at a quarter of the frame's side, each further one at half of that."""
    num_blocks: int = Field(default=1, ge=1)
    """Residual blocks in each level."""
    embedding_width: int = Field(default=128, ge=1)
    norm_group_width: int = Field(default=8, ge=1)
    """Channels in each group of the normalisation."""

    @model_validator(mode="after")
    def _is_buildable(self) -> "FeatureNetworkConfig":
        if not self.heads or any(len(set(names)) < 2 or len(set(names)) != len(names) for names in self.heads.values()):
            raise ValueError(f"heads is {self.heads}, each head needs at least two different class names")
        if not self.widths or any(width % self.norm_group_width for width in self.widths):
            raise ValueError(f"widths is {self.widths}, each should be a multiple of {self.norm_group_width}")
        factor = 4 * 2 ** (len(self.widths) - 1)
        if self.frame_px % factor:
            raise ValueError(f"frame_px is {self.frame_px}, it should be a multiple of {factor}")
        return self


class HeadAccuracy(Config):
    """Accuracy of a head on clips it was not trained on."""

    num_correct: int = Field(ge=0)
    num_clips: int = Field(ge=1)

    @property
    def fraction(self) -> float:
        """Fraction of correct answers."""
        return self.num_correct / self.num_clips


class FeatureNetworkCard(Config):
    """Config and accuracy of a network, stored beside its weights."""

    network: FeatureNetworkConfig
    accuracy: dict[str, HeadAccuracy] = Field(default_factory=dict)
    """Accuracy of each head; empty for an untrained network."""
    measured_on: str = ""
    """Description of the clips behind `accuracy`: number, source, seed."""
