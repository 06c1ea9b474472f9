"""Options of a clip as a user gives them, completed by the defaults of a model into a request; torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from pydantic import model_validator

from videoldm.core.config import Config, Finite, NonNegative, validate
from videoldm.core.errors import InputError
from videoldm.diffusion.config import (
    SAMPLERS,
    Constant,
    Guidance,
    LinearOverFrames,
    SamplerName,
    ScheduleName,
    schedule_named,
)
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.request import (
    Azimuths,
    Elevations,
    Fps,
    Frames,
    MotionBucket,
    PlaybackRate,
    Request,
    Seed,
    Side,
    Steps,
)
from videoldm.inference.config import Speed
from videoldm.pipelines.lora import LoraChoice
from videoldm.pipelines.reference import ModelRef
from videoldm.tasks.config import SamplingConfig, TaskModelConfig
from videoldm.tasks.registry import task_named
from videoldm.video.picture_files import FitMode


class Choices(Config):
    """Options of a clip as a user gives them; None means the model's default."""

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
    """Frames per second that the model is conditioned on (the rate itself: one is subtracted inside)."""
    motion_bucket_id: MotionBucket | None = None
    """How much should move: low, medium, high or a number, usually up to 255."""
    noise_aug_strength: NonNegative | None = None
    """Noise added to the picture; more of it lets the clip move away from the picture."""
    elevations_deg: Elevations | None = None
    """Degrees of the camera above the object, for a model conditioned on it (sv3d_p): one number, or one a frame."""
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
    """Frame rate at which the file plays; as fps if not given."""

    @model_validator(mode="after")
    def _has_one_kind_of_guidance(self) -> Self:
        if self.guidance_scale is not None:
            for name in ("min_guidance_scale", "max_guidance_scale"):
                if getattr(self, name) is not None:
                    raise ValueError(f"guidance_scale and {name} exclude each other: give one of them")
        return self

    def request(
        self,
        inputs: ClipInputs,
        model: ModelRef,
        config: TaskModelConfig,
        *,
        loras: tuple[LoraChoice, ...] = (),
    ) -> Request:
        """Return these choices for a clip from `inputs`, completed by the defaults of a model.

        Raises InputError if the picture cannot be read or what is given does not fit the model's task.
        """
        fps = self.fps or config.signals.fps
        num_frames = self.num_frames or config.num_frames
        values = {
            "model": model,
            "loras": loras,
            "task": config.task,
            **inputs.inputs_by_name(),
            **inputs.file_hashes(),
            "resize": self.resize,
            "seed": self.seed,
            "num_frames": num_frames,
            "height": self.height or config.height,
            "width": self.width or config.width,
            "fps": fps,
            "motion_bucket_id": self.motion_bucket(config),
            "noise_aug_strength": self._noise_level(inputs, config),
            "elevations_deg": elevations_of(self.elevations_deg, self.azimuths_deg, config, num_frames),
            "azimuths_deg": self.azimuths_deg,
            "speed": self.speed,
            "sampling": self.sampling(config.sampling),
            "output_fps": self.playback_rate(config),
        }
        return validate(Request, values, source="request")

    def motion_bucket(self, config: TaskModelConfig) -> float:
        """Return the motion bucket of these choices, a named level as the number that the model takes it for."""
        match self.motion_bucket_id:
            case None:
                return config.signals.motion_bucket
            case str(level):
                return getattr(config.micro.motion_levels, level)
            case bucket:
                return bucket

    def _noise_level(self, inputs: ClipInputs, config: TaskModelConfig) -> float:
        """Return 0 without a picture: there is nothing to add noise to, and training says so too."""
        return 0 if inputs.image is None else _either(self.noise_aug_strength, config.signals.noise_level)

    def playback_rate(self, config: TaskModelConfig) -> float:
        """Return the frame rate of the file: as chosen, else the one the clip is conditioned on."""
        return self.output_fps or self.fps or config.signals.fps

    def sampling(self, default: SamplingConfig) -> SamplingConfig:
        """Return a model's sampling, as the speed changes it, as the user changes that."""
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
        """Return one scale for all frames, or both ends of the model's shape; a constant becomes a linear rise."""
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


@dataclass(frozen=True, kw_only=True)
class ChosenShape:
    """The shape and sampling of a clip before there is a request for it."""

    num_frames: int
    height: int
    width: int
    sampling: SamplingConfig


def chosen_shape(choices: Choices, config: TaskModelConfig) -> ChosenShape:
    """Return what choices, completed by a model's defaults, say of a clip's shape."""
    return ChosenShape(
        num_frames=choices.num_frames or config.num_frames,
        height=choices.height or config.height,
        width=choices.width or config.width,
        sampling=choices.sampling(config.sampling),
    )


def elevations_of(
    elevations: Sequence[float] | None, azimuths: Sequence[float] | None, config: TaskModelConfig, num_frames: int
) -> Sequence[float] | None:
    """Return the elevations a model is conditioned on, by default its own; None for other models.

    Raises InputError for angles that the model has no use for, and for another number of them than frames.
    """
    given = {"elevations_deg": elevations, "azimuths_deg": azimuths}
    counts = {"elevations_deg": (1, num_frames), "azimuths_deg": (num_frames,)}
    for name, angles in given.items():
        if angles is not None and config.camera is None:
            reason = task_named(config.task).without_camera
            raise InputError(f"{name} is given, but this model takes no camera angles: {reason}; sv3d_p takes them")
        if angles is not None and len(angles) not in counts[name]:
            expected = " or ".join(dict.fromkeys(map(str, counts[name])))
            values = "1 value" if len(angles) == 1 else f"{len(angles)} values"
            raise InputError(f"{name} has {values}, it should have {expected}, one a frame")
    return elevations or (config.camera and (config.signals.elevation_deg,))


def _ends(guidance: Guidance) -> tuple[float, float]:
    scale = guidance.scale
    return (scale.scale, scale.scale) if isinstance(scale, Constant) else (scale.min_scale, scale.max_scale)


def _either(choice: float | None, default: float) -> float:
    return default if choice is None else choice
