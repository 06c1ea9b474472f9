"""Configuration of a video model beside its weights; torch-free."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, PositiveFloat, PositiveInt

from videoldm.conditioners.config import SVD_MICRO, CameraConfig, MicroConfig, MicroSignal
from videoldm.core.config import Config, NonNegative
from videoldm.diffusion.config import (
    Constant,
    Euler,
    Guidance,
    Preconditioning,
    Sampler,
    Schedule,
    VPrediction,
    few_step_schedule,
)
from videoldm.inference.config import LADDER, Reuse, Speed


def _known(name: str) -> str:
    """Return the name of a task that there is."""
    from videoldm.tasks.registry import task_named  # tasks import this file

    return task_named(name).name


TaskName = Annotated[str, AfterValidator(_known)]

Elevation = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
"""Degrees above the object's equator."""


class SamplingConfig(Config):
    """How clips are sampled from a model."""

    num_inference_steps: PositiveInt
    schedule: Schedule
    sampler: Sampler = Euler()
    guidance: Guidance
    reuse: Reuse | None = None
    """Reuse of features between steps, which is not exact; None computes every step in full."""

    def at(self, speed: Speed) -> Self:
        """Return the same on a rung of the speed ladder; `exact` changes nothing."""
        return self.model_copy(
            update=LADDER[speed].changes(
                num_inference_steps=self.num_inference_steps, schedule=self.schedule, guidance=self.guidance
            )
        )

    def distilled(self, num_steps: int) -> Self:
        """Return the sampling of a student of a model sampled so: a few of Euler's steps, without guidance."""
        return type(self)(
            num_inference_steps=num_steps,
            schedule=few_step_schedule(self.schedule),
            guidance=Guidance(scale=Constant(scale=1.0)),
        )


class SignalDefaults(Config):
    """The signals that a clip is conditioned on where the user gives none."""

    fps: PositiveFloat = 7
    motion_bucket: NonNegative = 127
    noise_level: NonNegative = 0.02
    elevation_deg: Elevation = 10
    """Elevation of the camera, for a model that is conditioned on it."""


class TaskModelConfig(Config):
    """A task's model: the clips it was trained on and the defaults of sampling."""

    task: TaskName
    num_frames: PositiveInt
    height: PositiveInt
    width: PositiveInt
    preconditioning: Preconditioning = VPrediction()
    micro: MicroConfig = SVD_MICRO
    camera: CameraConfig | None = None
    """How a model is conditioned on the camera, in the place of `micro`; None for one that is not."""
    signals: SignalDefaults = SignalDefaults()
    sampling: SamplingConfig

    @property
    def signal_names(self) -> tuple[MicroSignal, ...]:
        """The signals beside the camera that the model is conditioned on."""
        return self.micro.signals if self.camera is None else ("noise_level",)
