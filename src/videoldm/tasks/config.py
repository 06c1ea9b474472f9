"""What a video model needs beside its weights; torch-free."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt

from videoldm.conditioners.config import SVD_MICRO, CameraConfig, MicroConfig, MicroSignal
from videoldm.core.config import Config, NonNegative
from videoldm.diffusion.config import Euler, Guidance, Preconditioning, Sampler, Schedule, VPrediction
from videoldm.inference.config import LADDER, Reuse, Speed

TaskName = Literal["text-to-image", "text-to-video", "image-to-video", "multi-view"]
FROM_PICTURE: frozenset[TaskName] = frozenset({"image-to-video", "multi-view"})
"""Tasks that are given a picture; the others are given a text."""


Elevation = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
"""Degrees above the object's equator."""


class SamplingConfig(Config):
    """How clips are drawn from a model."""

    num_inference_steps: PositiveInt
    schedule: Schedule
    sampler: Sampler = Euler()
    guidance: Guidance
    reuse: Reuse | None = None
    """Not exact; None computes every step in full."""

    def at(self, speed: Speed) -> Self:
        """The same on a rung of the speed ladder; `exact` changes nothing."""
        return self.model_copy(
            update=LADDER[speed].changes(
                num_inference_steps=self.num_inference_steps, schedule=self.schedule, guidance=self.guidance
            )
        )


class SignalDefaults(Config):
    """What the model is told about the clip it should make, where the user does not say."""

    fps: PositiveFloat = 7
    motion_bucket: NonNegative = 127
    noise_level: NonNegative = 0.02
    elevation_deg: Elevation = 10
    """Of the camera, for a model that is told where it is."""


class TaskModelConfig(Config):
    """A task's model: the clips it was trained on and the defaults of sampling."""

    task: TaskName
    num_frames: PositiveInt
    height: PositiveInt
    width: PositiveInt
    preconditioning: Preconditioning = VPrediction()
    micro: MicroConfig = SVD_MICRO
    camera: CameraConfig | None = None
    """How a model is told where the camera is, in the place of `micro`; None for one that is not."""
    signals: SignalDefaults = SignalDefaults()
    sampling: SamplingConfig

    @property
    def told(self) -> tuple[MicroSignal, ...]:
        """The signals beside the camera that the model is told."""
        return self.micro.signals if self.camera is None else ("noise_level",)
