"""Tasks and their inputs; torch-free, so that requests and recipes can be checked without it.

A task is one file beside this one: a subclass of `Task` that `registry` knows. Nothing outside compares a task's name;
code that depends on a task asks the task.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from videoldm.checkpoints.checkpoint import Checkpoint
    from videoldm.core.random import SampleKey
    from videoldm.dataset.clips import ClipRecord
    from videoldm.diffusion.conditioning import Conditioning
    from videoldm.tasks.config import TaskModelConfig
    from videoldm.tasks.model import VideoModel
    from videoldm.video.picture_files import FitMode

EncoderName = Literal["text_encoder", "image_encoder"]
"""The folder of an encoder in a model of our own layout."""


class Need(StrEnum):
    """Kinds of input that a clip can be made from."""

    TEXT = "text"
    PICTURE = "picture"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Everything a batch of clips is conditioned on; lists have one entry per clip, or none if the task needs none."""

    samples: Sequence[SampleKey]
    prompts: Sequence[str] = ()
    pictures: Float[Tensor, "b 3 h w"] | None = None
    fps: Sequence[float]
    motion_bucket: Sequence[float]
    noise_level: Sequence[float]
    elevation_deg: Sequence[Sequence[float]] = ()
    azimuth_deg: Sequence[Sequence[float]] = ()
    """Camera angles of each frame, for models that are conditioned on them."""


@dataclass(frozen=True, kw_only=True)
class TrainingClips:
    """A batch of training clips as tasks see it: a record per clip, and frames on demand."""

    samples: Sequence[SampleKey]
    records: Sequence[ClipRecord]
    read_frames: Callable[[int, Sequence[int]], Float[Tensor, "n 3 h w"]]
    """Frames of one clip by row of the batch and position in the clip, negative ones from its end; in [-1, 1]."""

    def frames(self, positions: Sequence[int]) -> Float[Tensor, "b n 3 h w"]:
        """Return the frames at these positions of every clip; raise InputError where the data does not keep them."""
        import torch

        return torch.stack([self.read_frames(row, positions) for row in range(len(self.samples))])

    @property
    def first_frames(self) -> Float[Tensor, "b 3 h w"]:
        """The first frame of every clip."""
        return self.frames([0])[:, 0]

    def __getitem__(self, rows: Sequence[int]) -> TrainingClips:
        """Return some clips of the batch."""
        return TrainingClips(
            samples=[self.samples[row] for row in rows],
            records=[self.records[row] for row in rows],
            read_frames=lambda row, positions: self.read_frames(rows[row], positions),
        )


class Task(ABC):
    """One task. Training and sampling both go through `conditioning`, so they cannot drift apart (contract 2)."""

    name: ClassVar[str]
    """As users, folders and configurations call it."""
    needs: ClassVar[frozenset[Need]]
    """Inputs that every clip needs; the text of a training clip is its caption."""
    encoders: ClassVar[Sequence[EncoderName]]
    """The encoders whose tokens are the context."""
    joins_latents: ClassVar[bool] = False
    """Whether latents of given frames are joined to the network's input on the channel axis."""
    reads_frame_mask: ClassVar[bool] = False
    """Whether the network is given a mask of the frames that are known."""
    still_task: ClassVar[str | None] = None
    """The task whose conditioning single frames are trained with; None for a task that learns from clips only."""
    untrainable: ClassVar[str | None] = None
    """Why clips cannot teach a model this task; None where they can."""
    idle_options: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """Options of a request that change nothing here, each with the reason after "has no effect"."""
    has_foreign_layouts: ClassVar[bool] = False
    """Whether the layouts of diffusers and Stability can hold a model of this task."""
    without_camera: ClassVar[str] = "it has no camera"
    """Why camera angles are refused by a model that is not conditioned on them."""

    @property
    def has_one_token(self) -> bool:
        """Whether the context is a single token, so that attention over it has nothing to choose from."""
        return "text_encoder" not in self.encoders

    def accepts(self, given: frozenset[Need]) -> bool:
        """Whether clips can be made from exactly these inputs."""
        return given == self.needs

    def default_ending(self, num_frames: int) -> str:
        """Return the ending of a file that the user has not named."""
        del num_frames
        return ".mp4"

    def load_picture(self, path: Path, height: int, width: int, mode: FitMode) -> Float[Tensor, "3 h w"]:
        """Return a given picture in [-1, 1] at the size of the clip; raise InputError if it cannot be read."""
        from videoldm.video.picture import fit_picture, load_picture

        return fit_picture(load_picture(path), height, width, mode)

    def is_of_kind(self, checkpoint: Checkpoint) -> bool:
        """Whether a published checkpoint is a model of this task, even if parts of it are missing."""
        del checkpoint
        return False

    def obstacle(self, checkpoint: Checkpoint) -> str | None:
        """Return what keeps a published checkpoint of this kind from being sampled; None if nothing does."""
        del checkpoint
        return None

    def published_config(self, checkpoint: Checkpoint) -> TaskModelConfig:
        """Return how a published checkpoint of this kind is sampled, as the official scripts do.

        Raises InputError for a scheduler that is not supported.
        """
        raise AssertionError(f"no published checkpoint is of the kind {self.name}: {checkpoint.source}")

    @abstractmethod
    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Return the inputs from which sampling would make these clips."""

    @abstractmethod
    def conditioning(self, model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
        """Return the network's conditions for a batch."""

    @abstractmethod
    def null_context(self, model: VideoModel) -> Float[Tensor, "1 n d"] | None:
        """Return the context of guidance's unconditional branch; None means zeros."""

    def finish(self, inputs: Inputs, pixels: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t 3 h w"]:
        """Return the finished clips, made from the decoded ones, which may be changed in place."""
        del inputs
        return pixels
