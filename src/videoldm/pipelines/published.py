"""Published checkpoints: pipelines of diffusers and single files, here or on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from videoldm.checkpoints.checkpoint import Assumption, Checkpoint
from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.checkpoints.layouts.diffusers_image_config import ImageScheduler
from videoldm.checkpoints.layouts.single_file import open_file, open_unet
from videoldm.checkpoints.storage.file_names import INDEX_FILE
from videoldm.checkpoints.tokenizer import Tokenizer, openclip_tokenizer
from videoldm.core.errors import InputError
from videoldm.core.reading import combined_hash
from videoldm.diffusion.config import PredictionType
from videoldm.pipelines.folder import COMPONENT_FILE
from videoldm.pipelines.parts import ModelParts
from videoldm.pipelines.reference import ModelRef, require_task
from videoldm.tasks.config import TaskModelConfig, TaskName
from videoldm.tasks.registry import all_tasks, task_named
from videoldm.tasks.task import Task


def open_published(ref: ModelRef) -> PublishedModel:
    """Open a pipeline's folder, here or on the hub, or a single file; see `open_model` for errors."""
    checkpoint = _checkpoint(ref)
    if ref.unet is not None:
        part = open_unet(Path(ref.unet), checkpoint.unet.config)
        checkpoint = replace(checkpoint, unet=part, files=(*checkpoint.files, Path(ref.unet)))
    if ref.tokenizer is not None:
        if checkpoint.text_encoder is None:
            raise InputError(f"model {ref.name} reads no text, it has no use for the tokenizer {ref.tokenizer}")
        chosen = _tokenizer_in(Path(ref.tokenizer), checkpoint)
        chosen.check()
        checkpoint = replace(checkpoint, tokenizer=chosen)
    if ref.prediction_type is not None:
        checkpoint = _predicting(ref.prediction_type, checkpoint, ref.name)
    return PublishedModel(ref=ref, checkpoint=checkpoint)


def _predicting(prediction: PredictionType, checkpoint: Checkpoint, name: str) -> Checkpoint:
    if not isinstance(checkpoint.scheduler, ImageScheduler):
        raise InputError(f"model {name} is no Stable Diffusion, a prediction type ({prediction}) cannot be chosen")
    scheduler = checkpoint.scheduler.model_copy(update={"prediction_type": prediction})
    return replace(checkpoint, scheduler=scheduler, assumption=Assumption(reason="it was given", is_sure=True))


def _tokenizer_in(folder: Path, checkpoint: Checkpoint) -> Tokenizer:
    """A folder's tokenizer; a single file's text encoder is OpenCLIP's."""
    return openclip_tokenizer(folder) if checkpoint.layout == "sgm" else Tokenizer(folder)


def _checkpoint(ref: ModelRef) -> Checkpoint:
    path = Path(ref.name)
    if not path.exists():
        from videoldm.checkpoints.storage.hub import fetch

        path = fetch(ref.name, variant=ref.variant)
    if path.is_file():
        return open_file(path)
    if (path / INDEX_FILE).is_file():
        return open_folder(path, variant=ref.variant)
    raise InputError(
        f"model {ref.name}: is not a model, a folder should hold {INDEX_FILE} or autoencoder/{COMPONENT_FILE}"
    )


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """A published checkpoint; each task knows which checkpoints are of its kind."""

    ref: ModelRef
    checkpoint: Checkpoint

    @property
    def tasks(self) -> Sequence[TaskName]:
        """The tasks of its kind for which all parts are there."""
        return [task.name for task in self._kinds() if task.obstacle(self.checkpoint) is None]

    @property
    def obstacle(self) -> str | None:
        """The reason why it cannot be sampled at all; None if it can or is of no known kind."""
        if self.tasks:
            return None
        return next(filter(None, (task.obstacle(self.checkpoint) for task in self._kinds())), None)

    @property
    def size_factor(self) -> int:
        """The autoencoder's reduction."""
        assert self.checkpoint.autoencoder is not None
        return self.checkpoint.autoencoder.config.factor

    def config(self, task: TaskName) -> TaskModelConfig:
        """Return its configuration; what the files do not say is as in the published model of these sizes."""
        self._require(task)
        return task_named(task).published_config(self.checkpoint)

    def content_hash(self, task: TaskName) -> str:
        """Return a hash over all files, which every task reads."""
        del task
        return self._hash

    @cached_property
    def _hash(self) -> str:
        tokenizer = self._tokenizer
        return combined_hash([*self.checkpoint.files, *(tokenizer.files() if tokenizer else [])])

    @cached_property
    def _tokenizer(self) -> Tokenizer | None:
        """The one that goes with the text encoder, from the hub if it lies nowhere here; None if nothing reads text."""
        if self.checkpoint.tokenizer is not None or self.checkpoint.text_encoder is None:
            return self.checkpoint.tokenizer
        from videoldm.checkpoints.storage.hub import STABLE_DIFFUSION, fetch_tokenizer

        folder = fetch_tokenizer()
        if folder is None:
            raise InputError(
                f"model {self.ref.name} has no tokenizer and the hub is out of reach: put the folder tokenizer of "
                f"{STABLE_DIFFUSION[-1]} beside the model's file, or name one with --tokenizer"
            )
        return _tokenizer_in(folder, self.checkpoint)

    def parts(self, task: TaskName) -> ModelParts:
        """Return the networks of a task, not read yet."""
        self._require(task)
        assert self.checkpoint.autoencoder is not None
        return ModelParts(
            unet=self.checkpoint.unet,
            autoencoder=self.checkpoint.autoencoder,
            image_encoder=self.checkpoint.image_encoder,
            text_encoder=self.checkpoint.text_encoder,
            tokenizer=self._tokenizer,
            dropped=self.checkpoint.dropped,
        )

    def _kinds(self) -> Sequence[Task]:
        return [task for task in all_tasks() if task.is_of_kind(self.checkpoint)]

    def _require(self, task: TaskName) -> None:
        kind = task_named(task)
        obstacle = kind.obstacle(self.checkpoint) if kind.is_of_kind(self.checkpoint) else self.obstacle
        if obstacle is not None:
            raise InputError(f"model {self.ref.name}: {obstacle}")
        require_task(self, task)
