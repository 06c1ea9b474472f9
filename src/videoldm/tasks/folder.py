"""The folder of one of our own models.

It holds `autoencoder`, `text_encoder`, `image_encoder` and `judge`, which the tasks share and of which the last three
may be missing, `temporal_text_encoder` where the temporal layers do not read with the spatial ones' encoder, and a
folder of the task's name with `model.json` and `unet` for each task that the model can do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from videoldm.core.config import read_config
from videoldm.core.reading import files_hash
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.tasks.config import FROM_PICTURE, TaskModelConfig, TaskName
from videoldm.tasks.files import require_task

if TYPE_CHECKING:
    from videoldm.tasks.parts import ModelParts

TASK_FILE = "model.json"
COMPONENT_FILE = "config.json"
RECIPE_FILE = "recipe.yaml"
"""How a part was trained; nothing reads it but people and `videoldm train`."""
TEMPORAL_TEXT_ENCODER = "temporal_text_encoder"
SHARED_COMPONENTS = ("autoencoder", "text_encoder", TEMPORAL_TEXT_ENCODER, "image_encoder", "judge")


def is_native(folder: Path) -> bool:
    """Whether the folder holds a model in our layout."""
    return (folder / "autoencoder" / COMPONENT_FILE).is_file()


@dataclass(frozen=True, kw_only=True)
class NativeFolder:
    """See `ModelFiles`."""

    name: str
    folder: Path
    variant: None = None
    unet: None = None
    tokenizer: None = None

    @property
    def tasks(self) -> Sequence[TaskName]:
        """See `ModelFiles`."""
        names = cast("tuple[TaskName, ...]", get_args(TaskName))
        return [task for task in names if (self.folder / task / TASK_FILE).is_file()]

    @property
    def size_factor(self) -> int:
        """See `ModelFiles`."""
        return read_config(self.folder / "autoencoder" / COMPONENT_FILE, AutoencoderConfig).factor

    def config(self, task: TaskName) -> TaskModelConfig:
        """See `ModelFiles`."""
        require_task(self, task)
        return read_config(self.folder / task / TASK_FILE, TaskModelConfig)

    def content_hash(self, task: TaskName) -> str:
        """See `ModelFiles`."""
        parts = [self.folder / name for name in ("autoencoder", encoder_of(task), TEMPORAL_TEXT_ENCODER, task)]
        return files_hash(self.folder, [path for part in parts for path in part.rglob("*") if path.name != RECIPE_FILE])

    def parts(self, task: TaskName) -> ModelParts:
        """See `ModelFiles`."""
        from videoldm.checkpoints.layouts.native import autoencoder_part, unet_part
        from videoldm.checkpoints.layouts.transformers import open_image_encoder, open_text_encoder
        from videoldm.checkpoints.tokenizer import Tokenizer
        from videoldm.tasks.parts import ModelParts

        encoder = self.folder / encoder_of(task)
        is_image = encoder.name == "image_encoder"
        temporal = self.folder / TEMPORAL_TEXT_ENCODER
        return ModelParts(
            unet=unet_part(self.folder / task / "unet"),
            autoencoder=autoencoder_part(self.folder / "autoencoder"),
            image_encoder=open_image_encoder(encoder) if is_image else None,
            text_encoder=None if is_image else open_text_encoder(encoder),
            temporal_text_encoder=open_text_encoder(temporal) if temporal.is_dir() and not is_image else None,
            tokenizer=None if is_image else Tokenizer(encoder),
        )


def encoder_of(task: TaskName) -> str:
    """The folder of the encoder that a task's model looks or reads with."""
    return "image_encoder" if task in FROM_PICTURE else "text_encoder"
