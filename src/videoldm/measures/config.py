"""Settings of the measures; imports no torch."""

from typing import Literal

from pydantic import Field

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
