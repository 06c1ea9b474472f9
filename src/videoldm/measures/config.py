"""Settings of the measures; imports no torch."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from videoldm.core.config import Config


class FarnebackConfig(Config):
    """Farneback flow; the defaults were the most accurate of a grid on 64-pixel frames moved by 0.25 to 8 pixels."""

    method: Literal["farneback"] = "farneback"
    working_short_side: int = Field(default=64, ge=16)
    num_levels: int = Field(default=4, ge=1)
    """Pyramid levels, halving; OpenCV drops those smaller than 32 pixels."""
    window_px: int = Field(default=13, ge=3)
    num_iterations: int = Field(default=20, ge=1)
    polynomial_px: int = Field(default=5, ge=3)
    polynomial_sigma: float = Field(default=1.1, gt=0)


class DisConfig(Config):
    """Flow by dense inverse search: patches of 8 pixels, from coarse to fine, at last in pictures of half the size."""

    method: Literal["dis"] = "dis"
    working_short_side: int = Field(default=112, ge=64)
    """At 112 a wide picture has a level more than at 96, so that larger movements are found."""
    stride_px: int = Field(default=8, ge=1, le=8)
    """From one patch to the next."""
    num_iterations: int = Field(default=16, ge=1)
    """At most, of each patch at each level; fast zooms and rolls come out 6 % too small with 8, 1 % with 16."""


class CameraFitConfig(Config):
    """Robust fit of the camera's motion to a flow map."""

    num_iterations: int = Field(default=10, ge=1)
    """Of each of the two phases."""
    grid_px: int = Field(default=32, ge=2)
    """Flow is looked up on a grid with about this many positions along the frame's short side."""
    margin_px: int = Field(default=0, ge=0)
    """So many rows and columns at each edge are not looked at."""
    min_scale_px: float = Field(default=0.02, gt=0)
    """Residuals below this are never outliers, so that an exact flow does not shrink the scale to zero."""
    tuning: float = Field(default=4.685, gt=0)
    """Tukey's constant: 95 % efficiency for normal residuals; flow further off than this many scales has no weight."""


class CameraThresholds(Config):
    """Where a camera motion stops being static.

    The rendered world's pans are 0.15 to 0.21, its zooms 0.17 to 0.23.
    """

    pan: float = Field(default=0.05, gt=0)
    """Short sides of the frame per second."""
    zoom: float = Field(default=0.05, gt=0)
    """Logarithm of the magnification per second."""
    roll: float = Field(default=0.1, gt=0)
    """Radians per second."""


class FeatureNetworkConfig(Config):
    """Size of the network and what it names.

    `heads` maps each thing that is judged ("shape", "colour", ...) to its class names, in label order.
    """

    heads: dict[str, tuple[str, ...]]
    frame_px: int = Field(default=64, ge=16)
    """Frames are resized to squares of this side."""
    widths: tuple[PositiveInt, ...] = (32, 64, 80)
    """Channels of each level; the first works at a quarter of the frame's side, each further one at half the side."""
    num_blocks: int = Field(default=1, ge=1)
    """Residual blocks a level."""
    embedding_width: int = Field(default=128, ge=1)
    norm_group_width: int = Field(default=8, ge=1)
    """Channels a group of the normalisation."""

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
    """How often a head named the right class on clips it was not trained on."""

    num_correct: int = Field(ge=0)
    num_clips: int = Field(ge=1)

    @property
    def fraction(self) -> float:
        """The share of right answers."""
        return self.num_correct / self.num_clips


class FeatureNetworkCard(Config):
    """What is stored beside the weights."""

    network: FeatureNetworkConfig
    accuracy: dict[str, HeadAccuracy] = Field(default_factory=dict)
    """Of each head; empty for an untrained network."""
    measured_on: str = ""
    """The clips behind `accuracy`: how many, from where, which seed."""
