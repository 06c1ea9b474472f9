"""What every task is: a way from what is given (a text, a picture) to a conditioning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.conditioners.dropout import apply_dropout, draw_dropout
from videoldm.conditioners.micro import camera_vector, micro_vector, per_clip
from videoldm.core.random import SampleKey
from videoldm.dataset.clips import ClipRecord
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.guidance import Drop, drop_image, use_context
from videoldm.tasks.model import VideoModel


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a batch of clips is made from; the lists have one entry a clip."""

    samples: Sequence[SampleKey]
    prompts: Sequence[str] = ()
    pictures: Float[Tensor, "b 3 h w"] | None = None
    fps: Sequence[float]
    motion_bucket: Sequence[float]
    noise_level: Sequence[float]
    elevation_deg: Sequence[Sequence[float]] = ()
    azimuth_deg: Sequence[Sequence[float]] = ()
    """Of the camera in each frame, for models that are told it."""


@dataclass(frozen=True, kw_only=True)
class TrainingClips:
    """A batch of training clips as tasks see it: what is known of each and its first frame."""

    samples: Sequence[SampleKey]
    records: Sequence[ClipRecord]
    first_frames: Float[Tensor, "b 3 h w"]

    def __getitem__(self, rows: Sequence[int]) -> TrainingClips:
        """Some clips of the batch."""
        return TrainingClips(
            samples=[self.samples[row] for row in rows],
            records=[self.records[row] for row in rows],
            first_frames=self.first_frames[list(rows)],
        )


class Task(Protocol):
    """One task. Training and sampling both go through `conditioning`, so they cannot drift apart (contract 2)."""

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """What sampling would be given to make these clips."""
        ...

    def conditioning(self, model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
        """The network's conditions of a batch."""
        ...

    def null_context(self, model: VideoModel) -> Float[Tensor, "1 n d"] | None:
        """The context of guidance's unconditional branch; None means zeros."""
        ...

    def finish(self, inputs: Inputs, pixels: Float[Tensor, "b t 3 h w"]) -> Float[Tensor, "b t 3 h w"]:
        """The clips as users get them, from what was decoded, which may be changed."""
        ...


def training_conditioning(
    task: Task, model: VideoModel, clips: TrainingClips, *, num_frames: int, dropout: DropoutConfig
) -> Conditioning:
    """The conditioning of training clips, some of it dropped for guidance; in full precision, as in sampling."""
    with torch.no_grad(), torch.autocast(model.device.type, enabled=False):
        conditioning = task.conditioning(model, task.training_inputs(clips), num_frames=num_frames)
        drops = draw_dropout(dropout, clips.samples)
        return apply_dropout(
            conditioning,
            drops,
            null_context=task.null_context(model),
            null_temporal_context=_null_temporal_context(model),
        )


def unconditional(task: Task, model: VideoModel) -> Drop:
    """What guidance takes away in sampling."""
    context = task.null_context(model)
    return drop_image if context is None else use_context(context, _null_temporal_context(model))


def signal_vector(model: VideoModel, inputs: Inputs, *, num_frames: int) -> Float[Tensor, "b t d"] | None:
    """The vector condition that all tasks share; None for a UNet that takes none."""
    if model.unet.config.vector_dim is None:
        return None
    if model.config.camera is not None:
        level, elevation, azimuth = map(torch.tensor, (inputs.noise_level, inputs.elevation_deg, inputs.azimuth_deg))
        return camera_vector(level, elevation, azimuth, model.config.camera).to(model.device)
    signals = {
        "fps": per_clip(inputs.fps),
        "motion_bucket": per_clip(inputs.motion_bucket),
        "noise_level": per_clip(inputs.noise_level),
    }
    micro = model.config.micro
    return micro_vector({name: signals[name] for name in micro.signals}, micro, num_frames=num_frames).to(model.device)


def _null_temporal_context(model: VideoModel) -> Float[Tensor, "1 n d"] | None:
    """Tokens of the empty prompt for temporal layers that have a text encoder of their own."""
    if model.temporal_text is None:
        return None
    with model.at_work(model.temporal_text.model):
        return model.temporal_text.null()
