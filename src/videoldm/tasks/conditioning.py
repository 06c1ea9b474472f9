"""Conditions that tasks share: text tokens, the picture, signals, and what guidance drops."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.conditioners.dropout import apply_dropout, draw_dropout
from videoldm.conditioners.given_frames import condition_latent, repeat_over_frames
from videoldm.conditioners.micro import camera_vector, micro_vector, per_clip
from videoldm.diffusion.conditioning import Conditioning
from videoldm.diffusion.guidance import Drop, drop_frames, drop_image, use_context
from videoldm.tasks.model import VideoModel
from videoldm.tasks.task import Inputs, Task, TrainingClips


def training_conditioning(
    task: Task, model: VideoModel, clips: TrainingClips, *, num_frames: int, dropout: DropoutConfig
) -> Conditioning:
    """Return the conditioning of training clips, some of it dropped for guidance; in full precision, as in sampling."""
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
    """Return the change that makes guidance's unconditional branch out of a conditioning: nothing given, only signals.

    It is what training's joint dropout leaves of a sample.
    """
    context = task.null_context(model)
    if context is None:
        return drop_image
    drop_text = use_context(context, _null_temporal_context(model))
    return lambda conditioning: drop_frames(drop_text(conditioning))


def text_conditioning(model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
    """Return the prompts' tokens as context of all cross-attention, and the signals."""
    with model.at_work(model.text_conditioner.model):
        context = model.text_conditioner(inputs.prompts)
    return Conditioning(
        context=context,
        temporal_context=_temporal_context(model, inputs),
        vector=signal_vector(model, inputs, num_frames=num_frames),
    )


def picture_conditioning(model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
    """Return the clean picture's token as context, the raw latent of the noised one for each frame, and the signals."""
    assert inputs.pictures is not None, f"{model.config.task} needs pictures"
    pictures = inputs.pictures.to(model.device)
    latent = given_latents(model, inputs, pictures[:, None])
    with model.at_work(model.image_conditioner.model):
        context = model.image_conditioner(pictures)
    return Conditioning(
        context=context,
        vector=signal_vector(model, inputs, num_frames=num_frames),
        concat=repeat_over_frames(latent, num_frames),
    )


def given_latents(
    model: VideoModel, inputs: Inputs, frames: Float[Tensor, "b n 3 h w"]
) -> Float[Tensor, "b n c h_latent w_latent"]:
    """Return the raw latents of given frames, pixels in [-1, 1], with noise of each clip's own level added before."""
    with model.at_work(model.autoencoder):
        return condition_latent(
            model.autoencoder,
            frames.to(model.device, next(model.autoencoder.parameters()).dtype),
            noise_level=torch.tensor(inputs.noise_level),
            samples=inputs.samples,
        )


def empty_prompt(model: VideoModel) -> Float[Tensor, "1 n d"]:
    """Return the tokens of the empty prompt."""
    with model.at_work(model.text_conditioner.model):
        return model.text_conditioner.null()


def signal_vector(model: VideoModel, inputs: Inputs, *, num_frames: int) -> Float[Tensor, "b t d"] | None:
    """Return the vector condition that all tasks share; None for a UNet that takes none."""
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


def _temporal_context(model: VideoModel, inputs: Inputs) -> Float[Tensor, "b n d"] | None:
    """Return tokens of the temporal layers' own text encoder; None where they read those of the spatial layers."""
    if model.temporal_text is None:
        return None
    with model.at_work(model.temporal_text.model):
        return model.temporal_text(inputs.prompts)


def _null_temporal_context(model: VideoModel) -> Float[Tensor, "1 n d"] | None:
    """Return the tokens of the empty prompt for temporal layers that have a text encoder of their own."""
    if model.temporal_text is None:
        return None
    with model.at_work(model.temporal_text.model):
        return model.temporal_text.null()
