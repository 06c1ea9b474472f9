"""Settings of the conditioners; torch-free."""

from __future__ import annotations

from typing import Literal, Self

import pydantic
from pydantic import Field

from videoldm.core.config import Config, NonNegative, Share

MicroSignal = Literal["fps", "motion_bucket", "noise_level"]
MotionLevel = Literal["low", "medium", "high"]
MICRO_ORDER: tuple[MicroSignal, ...] = ("fps", "motion_bucket", "noise_level")


class LastLayer(Config):
    """Hidden states after the last layer (SD 2.1 as diffusers stores it, its encoder one layer shorter)."""

    kind: Literal["last"] = "last"


class PenultimateLayer(Config):
    """Hidden states before the last layer (SD 2.1 with the complete OpenCLIP text tower)."""

    kind: Literal["penultimate"] = "penultimate"


class TextConditionerConfig(Config):
    """Choice of the hidden states that become the context; the final norm follows in either case.

    pad_id: token that pads short prompts; None for the tokenizer's own.
    """

    layer: LastLayer | PenultimateLayer = Field(default=LastLayer(), discriminator="kind")
    pad_id: int | None = Field(default=None, ge=0)


LAST_LAYER = TextConditionerConfig()


class MotionLevels(Config):
    """Motion buckets of the words low, medium and high; "medium" is the default of the released SVD."""

    low: NonNegative = 40
    medium: NonNegative = 127
    high: NonNegative = 200


class MotionCalibration(Config):
    """Motion buckets that a model is conditioned on so that its clips move as much as they are told to.

    Each of `told`, in rising order, belongs to the bucket at the same place in `conditioned`. Between them the relation
    is linear, beyond the first and the last it is constant.
    """

    told: tuple[NonNegative, ...] = Field(min_length=1)
    conditioned: tuple[NonNegative, ...]

    @pydantic.model_validator(mode="after")
    def _buckets_belong_together(self) -> Self:
        if len(self.told) != len(self.conditioned):
            raise ValueError(
                f"told has {len(self.told)} buckets, conditioned {len(self.conditioned)}: both should have equally many"
            )
        if list(self.told) != sorted(set(self.told)):
            raise ValueError(f"told is {self.told}, it should be strictly increasing")
        return self

    def conditioned_on(self, bucket: float) -> float:
        """Return the bucket to condition on for clips that should move as much as `bucket` says."""
        import numpy as np

        return float(np.interp(bucket, self.told, self.conditioned))


class MicroConfig(Config):
    """Signals of the vector and the width of each embedding.

    SVD has all three at 256; its text-to-video form has no condition frame and therefore no noise level.
    """

    signals: tuple[MicroSignal, ...] = MICRO_ORDER
    embedding_dim: int = Field(default=256, ge=2, multiple_of=2)
    trained_fps: tuple[float, float] = (6, 31)
    trained_max_motion_bucket: float = 255
    motion_levels: MotionLevels = MotionLevels()
    motion_calibration: MotionCalibration | None = None
    """Applied in sampling; None for a model that is conditioned on the bucket it is told."""

    @pydantic.model_validator(mode="after")
    def _signals_are_in_order(self) -> Self:
        expected = tuple(signal for signal in MICRO_ORDER if signal in self.signals)
        if not expected or self.signals != expected:
            raise ValueError(f"signals is {self.signals}, it should be some of {MICRO_ORDER}, in this order")
        return self

    @property
    def vector_dim(self) -> int:
        """Width of the vector."""
        return len(self.signals) * self.embedding_dim


SVD_MICRO = MicroConfig()
SV3D_U_MICRO = MicroConfig(signals=("noise_level",))


class CameraConfig(Config):
    """Widths of the embeddings of the noise level and of each camera angle; the defaults are SV3D_p's."""

    noise_dim: int = Field(default=256, ge=2, multiple_of=2)
    angle_dim: int = Field(default=512, ge=2, multiple_of=2)

    @property
    def vector_dim(self) -> int:
        """Width of the vector."""
        return self.noise_dim + 2 * self.angle_dim


SV3D_P_CAMERA = CameraConfig()


class DropoutConfig(Config):
    """Probabilities of dropping the conditions of a training sample; the three draws are independent.

    `joint` drops the context and the given frames together, as guidance does in sampling; the other two drop one.
    """

    joint: Share = 0.0
    context: Share = 0.0
    concat: Share = 0.0
