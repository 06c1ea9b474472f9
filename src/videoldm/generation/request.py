"""Everything that decides one generated clip, as it is stored with the clip; torch-free."""

from __future__ import annotations

from typing import Annotated, Any, Self, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from videoldm.conditioners.config import MotionLevel
from videoldm.core.config import Config, Finite, NonNegative
from videoldm.core.errors import InputError
from videoldm.generation.inputs import INPUT_FIELDS, ClipInputs
from videoldm.inference.config import Decoding, Precision, Speed
from videoldm.pipelines.lora import LoraChoice
from videoldm.pipelines.reference import ModelRef
from videoldm.tasks.config import Elevation, SamplingConfig, TaskName
from videoldm.tasks.registry import task_named
from videoldm.video.picture_files import FitMode


def _level_or_number(value: object) -> object:
    """Return a name of an amount of motion as it is, anything else as a number."""
    if value in get_args(MotionLevel):
        return value
    try:
        return TypeAdapter(NonNegative).validate_python(value)
    except ValidationError:
        raise ValueError(f"should be {', '.join(get_args(MotionLevel))} or a number >= 0") from None


def _listed(value: object) -> object:
    """Return what is typed as "10,20,30" as a list, and a single number as a list of one."""
    if isinstance(value, str):
        return value.split(",")
    return [value] if isinstance(value, int | float) else value


Fps = Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)]
PlaybackRate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
MAX_SEED = 2**63 - 1
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
# Bounds far beyond what any model makes, so that a slip of the finger is found before it fills the memory.
Frames = Annotated[int, Field(ge=1, le=10_000)]
Side = Annotated[int, Field(ge=1, le=16_384)]
Steps = Annotated[int, Field(ge=1, le=10_000)]
MotionBucket = Annotated[MotionLevel | float, BeforeValidator(_level_or_number)]
Elevations = Annotated[tuple[Elevation, ...], BeforeValidator(_listed)]
Azimuths = Annotated[tuple[Finite, ...], BeforeValidator(_listed)]


class Request(ClipInputs):
    """One clip. The same request on the same versions gives the same clip."""

    model: ModelRef
    loras: tuple[LoraChoice, ...] = ()
    task: TaskName
    image_hash: str | None = None
    resize: FitMode = "crop"
    seed: Seed
    num_frames: Frames
    height: Side
    width: Side
    fps: Fps
    motion_bucket_id: NonNegative
    noise_aug_strength: NonNegative
    elevations_deg: Elevations | None = None
    """Elevation of the camera: one, or one a frame."""
    azimuths_deg: Azimuths | None = None
    """Azimuths of the camera in all frames; None for a whole turn."""
    speed: Speed = "exact"
    """The rung of the ladder that `sampling` is on; what it changed is written out there."""
    sampling: SamplingConfig
    output_fps: PlaybackRate

    @model_validator(mode="before")
    @classmethod
    def _model_is_one_value(cls, values: Any) -> Any:
        """Read requests of before there was a `ModelRef`, which named the model's four fields one by one."""
        if not isinstance(values, dict) or not isinstance(values.get("model"), str):
            return values
        given = dict(values)
        ref = {name: given.pop(name, None) for name in ("variant", "unet", "tokenizer")}
        return given | {"model": {"name": given["model"], **ref}}

    @model_validator(mode="after")
    def _has_what_the_task_needs(self) -> Self:
        task = task_named(self.task)
        if not task.accepts(self.given):
            name = next(name for need, name in INPUT_FIELDS.items() if need in self.given ^ task.needs)
            value = getattr(self, name)
            if value is None:
                raise ValueError(f"{name} is missing, which the task {self.task} needs")
            raise ValueError(f"{name} is {value!r}, which the task {self.task} does not take")
        return self


class Settings(Config):
    """Everything stored with a clip: its request, and the weights, device, precision and versions that made it."""

    request: Request
    model_hash: str | None = None
    device: str = "cpu"
    dtype: Precision = "float32"
    decoding: Decoding = Decoding()
    compiled: bool = False
    versions: dict[str, str] = Field(default_factory=dict)


def check_size(height: int, width: int, *, factor: int) -> None:
    """Raise InputError for sizes that are not multiples of `factor`, naming the nearest multiple."""
    for name, value in (("height", height), ("width", width)):
        if value % factor:
            nearest = max(factor, round(value / factor) * factor)
            raise InputError(f"{name} is {value}, it should be a multiple of {factor}, for example {nearest}")


def check_files(request: Request) -> None:
    """Raise InputError for a file that has changed since the request was made."""
    for (name, content_hash), path in zip(request.file_hashes().items(), request.files, strict=True):
        if getattr(request, name) not in (None, content_hash):
            raise InputError(f"{path}: is not the file that the settings were made with, its content differs")
