"""Generating clips from requests."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.micro import Signals, constant, warn_if_untrained
from videoldm.core.errors import InputError
from videoldm.diffusion.samplers.steps import OnStep, ignore
from videoldm.tasks.model import VideoModel
from videoldm.tasks.request import Request, check_size
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs
from videoldm.video.hashing import file_hash
from videoldm.video.picture import fit_picture, load_picture

BATCHED = ("num_frames", "height", "width", "sampling")
"""What the requests of one batch must share."""


def generate(model: VideoModel, requests: Sequence[Request], *, on_step: OnStep = ignore) -> Float[Tensor, "b t 3 h w"]:
    """One clip a request, pixels in [-1, 1]; a clip does not depend on the others of its batch.

    Raises InputError for a size the model cannot make, a picture that cannot be read or is not the one that was asked
    for, and requests that cannot share a batch.
    """
    first = requests[0]
    for name in BATCHED:
        if any(getattr(request, name) != getattr(first, name) for request in requests):
            raise InputError(f"requests of one batch differ in {name}; generate them in separate batches")
    check_size(first.height, first.width, factor=model.autoencoder.config.factor)
    inputs = Inputs(
        samples=[(request.seed,) for request in requests],
        prompts=[request.prompt for request in requests if request.prompt is not None],
        pictures=_pictures(requests),
        fps=[request.fps for request in requests],
        motion_bucket=[request.motion_bucket_id for request in requests],
        noise_level=[request.noise_aug_strength for request in requests],
    )
    signals: Signals = {"fps": constant(inputs.fps), "motion_bucket": constant(inputs.motion_bucket)}
    warn_if_untrained(signals, model.config.micro)
    return sample_clips(
        model,
        inputs,
        sampling=first.sampling,
        num_frames=first.num_frames,
        height=first.height,
        width=first.width,
        on_step=on_step,
    )


def settings(request: Request) -> dict[str, Any]:
    """What is stored with a clip: the request and the versions that made it."""
    versions = {package: version(package) for package in ("videoldm", "torch", "transformers")}
    return {"request": request.model_dump(mode="json"), "versions": versions}


def _pictures(requests: Sequence[Request]) -> Float[Tensor, "b 3 h w"] | None:
    paths = [request.image for request in requests if request.image is not None]
    return torch.stack([_picture(request) for request in requests]) if paths else None


def _picture(request: Request) -> Float[Tensor, "3 h w"]:
    assert request.image is not None
    if request.image_hash is not None and file_hash(request.image) != request.image_hash:
        raise InputError(f"{request.image} is not the picture that the settings were made with: its content differs")
    return fit_picture(load_picture(request.image), request.height, request.width, request.resize)
