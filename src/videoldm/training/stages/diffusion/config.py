"""Training by denoising latents: what all such stages share, and the stage that trains a UNet; torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, PositiveInt, model_validator

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.config import Config, NonNegative, Share
from videoldm.diffusion.config import (
    SQUARED,
    Distance,
    IndependentNoise,
    NoiseLevels,
    TrainingNoise,
    VWeighting,
    Weighting,
)
from videoldm.inference.config import Precision
from videoldm.models.presets import MINI, SD21, SVD, ModelConfig
from videoldm.models.unet.config import UNetConfig
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.registry import all_tasks, task_named
from videoldm.tasks.task import Need, Task
from videoldm.training.config import TrainingConfig
from videoldm.training.data.config import (
    CuratedData,
    Data,
    NoCaptions,
    PannedPictures,
    WorldData,
    check_enough,
    check_pictures,
    check_validation,
)
from videoldm.training.stages.places import StageInput, model_input, picture_inputs
from videoldm.training.stages.stage import ParameterCount, Stage, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.training.forecast import StepMemory
    from videoldm.training.stages.diffusion.objective import DiffusionObjective


class DenoisingStage(Stage):
    """Denoising of latents: how much noise of what kind they are given, and how errors are weighed."""

    noise_levels: NoiseLevels
    noise: TrainingNoise = IndependentNoise()
    weighting: Weighting = VWeighting()
    distance: Distance = SQUARED


class TaskStage(Stage):
    """Training on clips under the conditions of one task."""

    data: Data
    panned_pictures: PannedPictures | None = None
    """Clips among those of `data`, for tasks that need no captions."""
    validation: Data
    num_validation_clips: PositiveInt = 4

    def folders(self) -> Sequence[StageInput]:
        """Return the folder of pictures, if there is one."""
        return picture_inputs(self.panned_pictures)

    def check_clips(self, task: TaskName) -> None:
        """Raise ValueError for clips that the task cannot be learned from."""
        does = task_named(task)
        needs_captions = Need.TEXT in does.needs
        if does.untrainable is not None:
            raise ValueError(f"{task} cannot be trained: {does.untrainable}")
        check_validation(self.data, self.validation, self.num_validation_clips)
        if self.panned_pictures and needs_captions:
            raise ValueError(f"panned_pictures have no captions, which {task} needs: leave them out")
        check_pictures(self.panned_pictures, self.data)
        for data in (self.data, self.validation):
            if needs_captions and isinstance(data, CuratedData) and isinstance(data.captions, NoCaptions):
                raise ValueError(f"captions are none, {task} needs them: they should be sampled")


class ClipStage(DenoisingStage, TaskStage):
    """Denoising of clips under the conditions of one task."""

    dropout: DropoutConfig
    image_probability: Share = 0.0
    """Share of samples that are a single frame with a caption of what is seen, which temporal layers leave alone; for
    tasks that learn from single frames."""

    def check_clips(self, task: TaskName) -> None:
        """Raise ValueError for clips, and single frames of them, that the task cannot be learned from."""
        super().check_clips(task)
        if self.image_probability and task_named(task).still_task is None:
            learners = ", ".join(task.name for task in all_tasks() if task.still_task is not None)
            raise ValueError(
                f"image_probability is {self.image_probability}, only {learners} learns from single frames: it "
                f"should be 0 for {task}"
            )


class FinishedModelStage(TaskStage):
    """Training from a finished model for its own task, on clips of their own size and the model's length."""

    task: TaskName
    frozen_precision: Precision = "float32"
    """Precision of the finished model's own weights; those that are trained are in float32."""

    @model_validator(mode="after")
    def _clips_fit(self) -> Self:
        self.check_clips(self.task)
        return self

    @property
    def has_one_token(self) -> bool:
        """Whether the context is a single token, so that attention over it has nothing to choose from."""
        return task_named(self.task).has_one_token


class FromScratch(Config):
    """Random weights."""

    kind: Literal["scratch"] = "scratch"


class FromModel(Config):
    """UNet of a whole model: what a run exported, a model of the package, a folder, a single file or a name on the hub.

    Whatever the stage's UNet has beyond it, temporal layers, input channels and signals, is added so that step 0
    equals it.
    """

    kind: Literal["model"] = "model"
    model: str


Start = Annotated[FromScratch | FromModel, Field(discriminator="kind")]


class AllParameters(Config):
    """The whole UNet (SVD)."""

    kind: Literal["all"] = "all"


class TemporalParameters(Config):
    """Temporal layers and their merges, while the image model stays as it is (Video LDM, section 3.1)."""

    kind: Literal["temporal"] = "temporal"


class TimeEmbedding(Config):
    """Embedding of the noise level alone, so that it learns what another c_noise means (SVD, D.2)."""

    kind: Literal["time-embedding"] = "time-embedding"


Trained = Annotated[AllParameters | TemporalParameters | TimeEmbedding, Field(discriminator="kind")]


class MotionProbe(Config):
    """Measurement of how much a trained model's clips move under several motion buckets, for its motion calibration.

    The clips are made from the inputs of held-out ones.
    """

    num_clips: PositiveInt = 32
    buckets: tuple[NonNegative, ...] = Field(min_length=2)


@register_stage
class DiffusionStage(ClipStage):
    """Denoising of latents under the conditions of one task.

    Where the context is a single token, parameters that only decide which token to attend to are never trained,
    whatever `trained` says: they cannot learn.
    """

    kind: Literal["diffusion"] = "diffusion"  # pyright: ignore[reportIncompatibleVariableOverride]
    unet: UNetConfig
    start: Start
    trained: Trained = AllParameters()
    autoencoder: str
    """Export of a run, or a whole model whose autoencoder is taken."""
    encoders: str
    """Export of a run, or a whole model whose text or image encoder is taken."""
    model: TaskModelConfig
    motion_probe: MotionProbe | None = None
    """At the end of training; None for a model that is conditioned on the motion it is told."""

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        model = self.model
        self.check_clips(model.task)
        for data in (self.data, self.validation):
            _check_size(data, model)
        if isinstance(self.trained, TemporalParameters) and self.unet.temporal_layers is None:
            raise ValueError("trained is temporal, but unet has no temporal layers")
        self._check_inputs(task_named(model.task))
        if self.motion_probe:
            self._check_probe(self.motion_probe)
        if self.unet.vector_dim not in (None, model.micro.vector_dim):  # an image model may take no signals
            raise ValueError(f"unet.vector_dim is {self.unet.vector_dim}, model.micro gives {model.micro.vector_dim}")
        return self

    def _check_inputs(self, task: Task) -> None:
        """Raise ValueError for a UNet that does not take what the task gives it beside the latents."""
        if bool(self.unet.concat_channels) != task.joins_latents:
            joined = "latents of given frames" if task.joins_latents else "no latents of given frames: it should be 0"
            raise ValueError(f"unet.concat_channels is {self.unet.concat_channels}, {task.name} joins {joined}")
        if self.unet.reads_frame_mask != task.reads_frame_mask:
            given = "a frame mask" if task.reads_frame_mask else "no frame mask"
            raise ValueError(f"unet.reads_frame_mask is {self.unet.reads_frame_mask}, {task.name} gives {given}")

    def _check_probe(self, probe: MotionProbe) -> None:
        """Raise ValueError where motion is no condition that the model can learn, and for too few held-out clips."""
        is_conditioned = self.unet.vector_dim is not None and "motion_bucket" in self.model.signal_names
        if self.model.num_frames == 1 or not is_conditioned or self.data.signals.kind == "fixed":
            raise ValueError(
                f"motion_probe is given, {self.model.task} is not conditioned on measured motion here: leave it out"
            )
        check_enough("motion_probe.num_clips", probe.num_clips, self.validation)

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> DiffusionObjective:
        """Build the model from what the stage starts from, and open the clips."""
        from videoldm.training.stages.diffusion.objective import DiffusionObjective

        return DiffusionObjective(self, seed=seed, cache=cache, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the UNet's parameters by groups."""
        from videoldm.models.unet.groups import group_of
        from videoldm.training.stages.diffusion.start import trained_unet

        return count_parameters((group_of(name), one) for name, one in trained_unet(self).named_parameters())

    def step_memory(self, training: TrainingConfig, *, num_samples: int) -> StepMemory:
        """Forecast a step; the networks beside the UNet are taken to be those of the nearest preset."""
        from videoldm.training.forecast import forecast_denoising
        from videoldm.training.stages.diffusion.start import trained_unet

        clips = self.data.largest_clips(self.model.num_frames)
        return forecast_denoising(
            lambda: trained_unet(self), self._nearest_preset(), clips, training, num_samples=num_samples
        )

    def folders(self) -> Sequence[StageInput]:
        """Return the models that the stage starts from, and the folder of pictures."""
        start = model_input("stage.start.model", self.start.model) if isinstance(self.start, FromModel) else []
        return [
            *model_input("stage.autoencoder", self.autoencoder),
            *model_input("stage.encoders", self.encoders),
            *super().folders(),
            *start,
        ]

    @property
    def listed_under(self) -> str:
        """The task."""
        return self.model.task

    @property
    def pipeline_tag(self) -> str:
        """The task."""
        return self.model.task

    @property
    def exported_parts(self) -> Mapping[str, str]:
        """The task's folder; the autoencoder and the encoder beside it come from other stages."""
        return {self.model.task: self.model.task}

    def _nearest_preset(self) -> ModelConfig | None:
        """Networks that go with a UNet of these latents and context, with the encoders that the task uses."""
        encoders = task_named(self.model.task).encoders
        unused = {name: None for name in ("text_encoder", "image_encoder") if name not in encoders}
        for preset in (SD21, SVD.model_copy(update={"autoencoder": SD21.autoencoder}), MINI):
            ours, theirs = self.unet, preset.unet
            is_alike = (theirs.in_channels, theirs.context_dim) == (ours.in_channels, ours.context_dim)
            if is_alike and all(getattr(preset, name) is not None for name in encoders):
                return preset.model_copy(update=unused)
        return None


def _check_size(data: Data, model: TaskModelConfig) -> None:
    """Raise ValueError for clips that the model cannot be trained on, or compared with."""
    shape = f"{model.height}x{model.width}"
    match data:
        case WorldData():
            if data.num_frames < model.num_frames:
                raise ValueError(
                    f"{data.split} clips have {data.num_frames} frames, the model makes {model.num_frames}"
                )
            if (data.height, data.width) != (model.height, model.width):
                raise ValueError(f"{data.split} clips are {data.height}x{data.width}, the model's {shape}")
        case CuratedData():
            if data.bucket_of(height=model.height, width=model.width, num_frames=model.num_frames) is None:
                raise ValueError(
                    f"{data.folder}: no bucket has the model's {shape} and {model.num_frames} frames, one should"
                )
