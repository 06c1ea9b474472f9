"""The folder of one of our own models.

It holds `autoencoder`, `text_encoder`, `image_encoder` and `judge`, which the tasks share and of which the last three
may be missing, `temporal_text_encoder` where the temporal layers do not read with the spatial ones' encoder, and a
folder of the task's name with `model.json` and `unet` for each task that the model can do. `students/4-steps` holds
such folders of tasks too: students that make the clip in so many steps, with the networks beside it. In the place of
`unet` a student may have `lora`, the folder of a PEFT adapter for the model's own UNet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from videoldm.core.config import read_config
from videoldm.core.reading import files_hash
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.pipelines.reference import ModelRef, require_task
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.registry import all_tasks, task_named

if TYPE_CHECKING:
    from videoldm.pipelines.parts import ModelParts

TASK_FILE = "model.json"
COMPONENT_FILE = "config.json"
RECIPE_FILE = "recipe.yaml"
"""How a part was trained; nothing reads it but people and `videoldm train`."""
TEMPORAL_TEXT_ENCODER = "temporal_text_encoder"
STUDENTS = "students"
UNET, STUDENT_LORA = "unet", "lora"
SHARED_COMPONENTS = ("autoencoder", "text_encoder", TEMPORAL_TEXT_ENCODER, "image_encoder", "judge")


def student_folder(num_steps: int) -> str:
    """Return the place, within a model's folder, of its students that make a clip in that many steps."""
    return f"{STUDENTS}/{num_steps}-steps"


def is_native(folder: Path) -> bool:
    """Whether the folder holds a model in our layout."""
    return (folder / "autoencoder" / COMPONENT_FILE).is_file()


@dataclass(frozen=True, kw_only=True)
class NativeFolder:
    """A model in our own layout."""

    ref: ModelRef
    folder: Path

    @property
    def tasks(self) -> Sequence[TaskName]:
        """The tasks that have a folder here."""
        return [task.name for task in all_tasks() if (self.tasks_folder / task.name / TASK_FILE).is_file()]

    @property
    def tasks_folder(self) -> Path:
        """The folder that holds those of the tasks: the model's own, or that of its student."""
        return self.folder / (self.ref.student or "")

    @property
    def students(self) -> Sequence[NativeFolder]:
        """The students that ship with the model, those of fewer steps first; a student has none."""
        if self.ref.student is not None:
            return ()
        names = sorted(place.name for place in (self.folder / STUDENTS).glob("?-steps"))
        return [replace(self, ref=self.ref.model_copy(update={"student": f"{STUDENTS}/{name}"})) for name in names]

    @property
    def obstacle(self) -> None:
        """Always None: what a run exports is complete."""
        return None

    @property
    def size_factor(self) -> int:
        """The autoencoder's reduction."""
        return read_config(self.folder / "autoencoder" / COMPONENT_FILE, AutoencoderConfig).factor

    def config(self, task: TaskName) -> TaskModelConfig:
        """Return the configuration in the task's folder; raise InputError if there is no such task."""
        require_task(self, task)
        return read_config(self.tasks_folder / task / TASK_FILE, TaskModelConfig)

    def lora(self, task: TaskName) -> Path | None:
        """Return the adapter by which a student differs from the model; None where the task has a UNet of its own."""
        folder = self.tasks_folder / task
        return folder / STUDENT_LORA if self.ref.student and not (folder / UNET).is_dir() else None

    def unet_folder(self, task: TaskName) -> Path:
        """Return the folder of the task's UNet, which a student that is a LoRA shares with the model."""
        return (self.tasks_folder if self.lora(task) is None else self.folder) / task / UNET

    def content_hash(self, task: TaskName) -> str:
        """Return a hash over all files that the task reads."""
        names = ("autoencoder", *task_named(task).encoders, TEMPORAL_TEXT_ENCODER)
        parts = [*(self.folder / name for name in names), self.tasks_folder / task]
        if self.lora(task) is not None:
            parts.append(self.unet_folder(task))
        return files_hash(self.folder, [path for part in parts for path in part.rglob("*") if path.name != RECIPE_FILE])

    def parts(self, task: TaskName) -> ModelParts:
        """Return the networks of a task, not read yet."""
        from videoldm.checkpoints.layouts.native import autoencoder_part, unet_part
        from videoldm.checkpoints.layouts.transformers import open_text_encoder
        from videoldm.pipelines.parts import ModelParts, encoders_in

        text, image, tokenizer = encoders_in(self.folder, task)
        temporal = self.folder / TEMPORAL_TEXT_ENCODER
        return ModelParts(
            unet=unet_part(self.unet_folder(task)),
            lora=self.lora(task),
            autoencoder=autoencoder_part(self.folder / "autoencoder"),
            image_encoder=image,
            text_encoder=text,
            temporal_text_encoder=open_text_encoder(temporal) if text is not None and temporal.is_dir() else None,
            tokenizer=tokenizer,
        )
