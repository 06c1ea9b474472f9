"""Distillation of a finished model into a student of few steps without guidance; torch-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt

from videoldm.core.config import Config
from videoldm.diffusion.config import SQUARED, Distance, VWeighting, Weighting
from videoldm.models.adapters.config import LoraPreset
from videoldm.pipelines.folder import student_folder
from videoldm.tasks.config import TaskName
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Need
from videoldm.training.config import Sharded, TrainingConfig
from videoldm.training.stages.diffusion.config import FinishedModelStage
from videoldm.training.stages.places import UNKNOWN_BASE, StageInput, base_sizes, model_input
from videoldm.training.stages.stage import ForecastError, ParameterCount, count_parameters, register_stage

if TYPE_CHECKING:
    from videoldm.models.unet.network import VideoUNet
    from videoldm.training.forecast import StepMemory
    from videoldm.training.stages.distillation.objective import DistillationObjective

STUDENT_PLACE = "student"
"""In the export of a LoRA: what belongs in the teacher's folder."""


class WholeStudent(Config):
    """A UNet of its own, which begins as the teacher's."""

    kind: Literal["whole"] = "whole"


class LoraStudent(Config):
    """A LoRA beside the teacher's frozen weights."""

    kind: Literal["lora"] = "lora"
    preset: LoraPreset


Student = Annotated[WholeStudent | LoraStudent, Field(discriminator="kind")]


class Consistency(Config):
    """One step of the teacher from anywhere in a segment; from there, the student's own way to its end.

    Two teacher calls and one of the student for a target, however many steps a segment has.
    """

    kind: Literal["consistency"] = "consistency"
    teacher_steps: PositiveInt = 6
    """Steps of the teacher in each segment."""


class Solution(Config):
    """The teacher's whole way over a segment, from its beginning: two calls of the teacher for each of its steps."""

    kind: Literal["solution"] = "solution"
    teacher_steps: PositiveInt = 6
    """Steps of the teacher in each segment."""


Target = Annotated[Consistency | Solution, Field(discriminator="kind")]


@register_stage
class DistillationStage(FinishedModelStage):
    """Learning to jump along the ODE of a finished model, guided as it is sampled, in a few steps without guidance.

    Clips are taken at their own size and the model's length; the first bucket of curated clips gives both.
    """

    kind: Literal["distillation"] = "distillation"  # pyright: ignore[reportIncompatibleVariableOverride]
    teacher: str
    """Whole model: what a run exported, a model of the package, a folder, a single file or a name on the hub."""
    student: Student = WholeStudent()
    num_steps: Annotated[int, Field(ge=1, le=8)] = 4
    """Steps in which the student is sampled."""
    target: Target = Consistency()
    weighting: Weighting = VWeighting()
    distance: Distance = SQUARED

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> DistillationObjective:
        """Load the teacher, make the student and open the clips."""
        from videoldm.training.stages.distillation.objective import DistillationObjective

        return DistillationObjective(self, seed=seed, cache=cache, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the parameters of the student, and of the teacher; empty if the teacher is not known."""
        from videoldm.models.adapters.fresh import num_lora_parameters
        from videoldm.models.unet.groups import group_of
        from videoldm.models.unet.network import VideoUNet

        base = base_sizes(self.teacher, self.task)
        if base is None:
            return {}
        teacher = VideoUNet(base.networks.unet).requires_grad_(False)
        frozen = {"teacher": ParameterCount(0, sum(one.numel() for one in teacher.parameters()))}
        match self.student:
            case LoraStudent(preset=preset):
                count = num_lora_parameters(teacher, preset, has_one_token=self.has_one_token)
                return {"lora": ParameterCount(count, 0), **frozen}
            case WholeStudent():
                student = _trained_whole(VideoUNet(base.networks.unet), self.task)
                return {**count_parameters((group_of(name), one) for name, one in student.named_parameters()), **frozen}

    def step_memory(self, training: TrainingConfig, *, num_samples: int) -> StepMemory:
        """Forecast a step; raises ForecastError if the teacher is not known."""
        from dataclasses import replace

        from videoldm.inference.precision import DTYPES
        from videoldm.models.adapters.fresh import put_stand_ins
        from videoldm.models.unet.network import VideoUNet
        from videoldm.training.forecast import default_dtype, forecast_denoising, weight_bytes

        base = base_sizes(self.teacher, self.task)
        if base is None:
            raise ForecastError(UNKNOWN_BASE)
        config, clips = base.networks.unet, self.data.largest_clips(base.networks.num_frames)

        def frozen() -> VideoUNet:
            with default_dtype(DTYPES[self.frozen_precision]):
                return VideoUNet(config).requires_grad_(False)

        def student() -> VideoUNet:
            if isinstance(self.student, WholeStudent):
                return _trained_whole(VideoUNet(config), self.task)
            unet = frozen()
            put_stand_ins(unet, self.student.preset, has_one_token=self.has_one_token)
            return unet

        # The target is computed before the student keeps anything for its gradient.
        step = forecast_denoising(student, base.networks, clips, training, num_samples=num_samples)
        teacher = weight_bytes(frozen) if isinstance(self.student, WholeStudent) else 0
        return replace(step, others=step.others + teacher)

    def folders(self) -> Sequence[StageInput]:
        """Return the teacher and the folder of pictures."""
        return [*model_input("stage.teacher", self.teacher), *super().folders()]

    def check_training(self, training: TrainingConfig) -> None:
        """Raise ValueError if a LoRA is to be sharded."""
        super().check_training(training)
        is_sharded = isinstance(training.execution.distributed, Sharded)
        if is_sharded and self.student.kind == "lora":
            raise ValueError("execution.distributed is sharded, a LoRA is small: it should be replicated")

    def usage(self, export: str) -> Sequence[str]:
        """Return the command that makes a clip with the student."""
        given = '--prompt "a red cube moves to the left"' if Need.TEXT in task_named(self.task).needs else "photo.jpg"
        if isinstance(self.student, WholeStudent):
            return [f"videoldm generate {given} --model {export} -o clip.mp4"]
        return [
            f"videoldm generate {given} --model {self.teacher} --lora {export}/peft \\",
            f"  --steps {self.num_steps} --guidance-scale 1 --schedule karras_to_zero -o clip.mp4",
        ]

    @property
    def listed_under(self) -> str:
        """The task."""
        return self.task

    @property
    def pipeline_tag(self) -> str:
        """The task."""
        return self.task

    @property
    def exported_parts(self) -> Mapping[str, str]:
        """The student's place in its teacher's folder; the networks beside it are the teacher's."""
        place = self.task if isinstance(self.student, WholeStudent) else STUDENT_PLACE
        return {f"{student_folder(self.num_steps)}/{self.task}": place}


def _trained_whole(unet: VideoUNet, task: TaskName) -> VideoUNet:
    """Freeze what cannot learn from a context of one token."""
    from videoldm.training.stages.diffusion.config import AllParameters
    from videoldm.training.stages.diffusion.start import set_trained

    set_trained(unet, AllParameters(), task=task)
    return unet
