"""Everything that decides one generated clip, as it is stored with the clip; torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from videoldm.conditioners.config import MotionLevel
from videoldm.core.config import Config, Finite, NonNegative, validate
from videoldm.core.errors import InputError
from videoldm.core.reading import file_hash
from videoldm.diffusion.config import (
    SAMPLERS,
    Constant,
    Guidance,
    LinearOverFrames,
    SamplerName,
    ScheduleName,
    schedule_named,
)
from videoldm.inference.config import Decoding, Precision, Speed
from videoldm.tasks.cameras import Azimuths, Elevations, elevations_of
from videoldm.tasks.config import FROM_PICTURE, SamplingConfig, TaskModelConfig, TaskName
from videoldm.tasks.files import ModelFiles
from videoldm.tasks.lora import LoraChoice
from videoldm.video.picture_files import FitMode


def _level_or_number(value: object) -> object:
    """A name of an amount of motion as it is, anything else as a number."""
    if value in get_args(MotionLevel):
        return value
    try:
        return TypeAdapter(NonNegative).validate_python(value)
    except ValidationError:
        raise ValueError(f"should be {', '.join(get_args(MotionLevel))} or a number >= 0") from None


Fps = Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)]
PlaybackRate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
MAX_SEED = 2**63 - 1
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]
# Bounds far beyond what any model makes, so that a slip of the finger is found before it fills the memory.
Frames = Annotated[int, Field(ge=1, le=10_000)]
Side = Annotated[int, Field(ge=1, le=16_384)]
Steps = Annotated[int, Field(ge=1, le=10_000)]
MotionBucket = Annotated[MotionLevel | float, BeforeValidator(_level_or_number)]


class Request(Config):
    """One clip. The same request on the same versions gives the same clip."""

    model: str
    variant: str | None = None
    unet: str | None = None
    tokenizer: str | None = None
    loras: tuple[LoraChoice, ...] = ()
    task: TaskName
    image: str | None = None
    image_hash: str | None = None
    prompt: str | None = None
    resize: FitMode = "crop"
    seed: Seed
    num_frames: Frames
    height: Side
    width: Side
    fps: Fps
    motion_bucket_id: NonNegative
    noise_aug_strength: NonNegative
    elevations_deg: Elevations | None = None
    azimuths_deg: Azimuths | None = None
    """Of the camera: one elevation or one a frame, azimuths of all frames; None for a whole turn."""
    speed: Speed = "exact"
    """The rung of the ladder that `sampling` is on; what it changed is written out there."""
    sampling: SamplingConfig
    output_fps: PlaybackRate

    @model_validator(mode="after")
    def _has_what_the_task_needs(self) -> Self:
        if (self.image is None) == (self.task in FROM_PICTURE):
            raise ValueError(f"image is {self.image!r}, which does not fit the task {self.task}")
        if (self.prompt is None) == (self.task not in FROM_PICTURE):
            raise ValueError(f"prompt is {self.prompt!r}, which does not fit the task {self.task}")
        if self.prompt is not None and not self.prompt.strip():
            raise ValueError(f"prompt is {self.prompt!r}, it should say what the clip shows")
        return self


class Settings(Config):
    """What is stored with a clip: its request, and the weights, device, precision, code and versions that made it."""

    request: Request
    model_hash: str | None = None
    device: str = "cpu"
    dtype: Precision = "float32"
    decoding: Decoding = Decoding()
    compiled: bool = False
    versions: dict[str, str] = Field(default_factory=dict)


class Choices(Config):
    """What a user asked for; None means the model's default."""

    resize: FitMode = "crop"
    """How a picture of another shape is made to fit: crop its sides, pad it with black bars, or stretch it."""
    seed: Seed = 23
    """Start of all random numbers; the same seed and options give the same clip."""
    num_frames: Frames | None = None
    """Length of the clip."""
    height: Side | None = None
    """Height in pixels, a multiple of what videoldm info calls size_multiple (8 for mini and SVD)."""
    width: Side | None = None
    """Width in pixels, likewise."""
    fps: Fps | None = None
    """Frames per second that the model is told (the rate itself: one is subtracted inside, as SVD was trained)."""
    motion_bucket_id: MotionBucket | None = None
    """How much should move: low, medium, high or a number, usually up to 255."""
    noise_aug_strength: NonNegative | None = None
    """Noise added to the picture; more of it lets the clip move away from the picture."""
    elevations_deg: Elevations | None = None
    """Degrees of the camera above the object, for a model that is told it (sv3d_p): one number, or one a frame."""
    azimuths_deg: Azimuths | None = None
    """Degrees of the camera around the object, one a frame, of which the last shows the picture; without them a whole
    turn in equal steps."""
    speed: Speed = "exact"
    """How much to give up for speed: exact gives up nothing, turbo most. Other options go before what it would choose;
    docs/speed.md has the losses."""
    num_inference_steps: Steps | None = None
    """Steps of the sampler; more are slower and finer."""
    sampler: SamplerName | None = None
    """How the noise is taken away step by step."""
    schedule: ScheduleName | None = None
    """At which noise levels the steps lie; ays is made for 10 steps of SVD."""
    guidance_scale: Finite | None = None
    """How closely to follow the prompt or picture, the same for all frames; 1 is no guidance."""
    min_guidance_scale: Finite | None = None
    """The same for the first frame; it rises or falls linearly to the last frame's, around an object to the middle."""
    max_guidance_scale: Finite | None = None
    """The same for the last frame, around an object for the one in the middle."""
    output_fps: PlaybackRate | None = None
    """Frame rate at which the file plays; as --fps if not given."""

    @model_validator(mode="after")
    def _has_one_kind_of_guidance(self) -> Self:
        if self.guidance_scale is not None:
            for name in ("min_guidance_scale", "max_guidance_scale"):
                if getattr(self, name) is not None:
                    raise ValueError(f"guidance_scale and {name} exclude each other: give one of them")
        return self

    def request(
        self,
        files: ModelFiles,
        config: TaskModelConfig,
        *,
        loras: tuple[LoraChoice, ...] = (),
        image: Path | None = None,
        prompt: str | None = None,
    ) -> Request:
        """These choices completed by the defaults of a model.

        Raises InputError if the picture cannot be read or what is given does not fit the model's task.
        """
        fps = self.fps or config.signals.fps
        num_frames = self.num_frames or config.num_frames
        values = {
            "model": files.name,
            "variant": files.variant,
            "unet": files.unet,
            "tokenizer": files.tokenizer,
            "loras": loras,
            "task": config.task,
            "image": None if image is None else str(image),
            "image_hash": None if image is None else file_hash(image),
            "prompt": prompt,
            "resize": self.resize,
            "seed": self.seed,
            "num_frames": num_frames,
            "height": self.height or config.height,
            "width": self.width or config.width,
            "fps": fps,
            "motion_bucket_id": self._motion_bucket(config),
            # Without a picture there is nothing to add noise to, and training says so too.
            "noise_aug_strength": 0 if image is None else _either(self.noise_aug_strength, config.signals.noise_level),
            "elevations_deg": elevations_of(self.elevations_deg, self.azimuths_deg, config, num_frames),
            "azimuths_deg": self.azimuths_deg,
            "speed": self.speed,
            "sampling": self.sampling(config.sampling),
            "output_fps": self.output_fps or fps,
        }
        return validate(Request, values, source="request")

    def _motion_bucket(self, config: TaskModelConfig) -> float:
        match self.motion_bucket_id:
            case None:
                return config.signals.motion_bucket
            case str(level):
                return getattr(config.micro.motion_levels, level)
            case bucket:
                return bucket

    def sampling(self, default: SamplingConfig) -> SamplingConfig:
        """A model's sampling, as the speed changes it, as the user changes that."""
        default = default.at(self.speed)
        changes: dict[str, Any] = {"guidance": self._guidance(default.guidance)}
        if self.num_inference_steps is not None:
            changes["num_inference_steps"] = self.num_inference_steps
        if self.sampler is not None and self.sampler != default.sampler.kind:
            changes["sampler"] = SAMPLERS[self.sampler]()
        if self.schedule is not None:
            changes["schedule"] = schedule_named(self.schedule, like=default.schedule)
        return default.model_copy(update=changes)

    def _guidance(self, default: Guidance) -> Guidance:
        """One scale for all frames, or the two ends of the model's shape; a constant one becomes a linear rise."""
        lowest, highest = self.min_guidance_scale, self.max_guidance_scale
        if self.guidance_scale is not None:
            return default.model_copy(update={"scale": Constant(scale=self.guidance_scale)})
        if lowest is None and highest is None:
            return default
        ends = _ends(default)
        changes = {"min_scale": _either(lowest, ends[0]), "max_scale": _either(highest, ends[1])}
        is_shaped = not isinstance(default.scale, Constant)
        scale = default.scale.model_copy(update=changes) if is_shaped else LinearOverFrames.model_validate(changes)
        return default.model_copy(update={"scale": scale})


def check_size(height: int, width: int, *, factor: int) -> None:
    """Refuse sizes that are no multiple of the autoencoder's factor, naming the nearest that is."""
    for name, value in (("height", height), ("width", width)):
        if value % factor:
            nearest = max(factor, round(value / factor) * factor)
            raise InputError(f"{name} is {value}, it should be a multiple of {factor}, for example {nearest}")


def check_picture(request: Request) -> None:
    """Refuse a picture that has changed since the request was made."""
    if request.image is not None and request.image_hash not in (None, file_hash(request.image)):
        raise InputError(f"{request.image}: is not the picture that the settings were made with, its content differs")


def _ends(guidance: Guidance) -> tuple[float, float]:
    scale = guidance.scale
    return (scale.scale, scale.scale) if isinstance(scale, Constant) else (scale.min_scale, scale.max_scale)


def _either(choice: float | None, default: float) -> float:
    return default if choice is None else choice
