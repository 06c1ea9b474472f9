"""Clips from requests, and what is stored with them: the Python interface to generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.conditioners.micro import Signals, orbit_azimuths, per_clip, warn_if_untrained
from videoldm.core.config import validate
from videoldm.core.errors import InputError, ItemError
from videoldm.diffusion.samplers.steps import OnStep, ignore_step
from videoldm.generation.choices import Choices
from videoldm.generation.inputs import ClipInputs
from videoldm.generation.request import Request, Settings, check_files, check_size
from videoldm.generation.untrained import warn_if_far
from videoldm.inference.compiled import is_compiled
from videoldm.inference.precision import precision_of
from videoldm.pipelines.load import LoadedModel
from videoldm.tasks.model import VideoModel
from videoldm.tasks.registry import task_named
from videoldm.tasks.sampling import Watch, sample_clips, unwatched
from videoldm.tasks.task import Inputs
from videoldm.video.time import parse_rate
from videoldm.video.write import write_video

PACKAGES = ("videoldm", "torch", "transformers", "numpy", "pillow", "av")
"""Packages whose versions can change the pixels of a clip."""
BATCHED = ("task", "given", "num_frames", "height", "width", "sampling")
"""Fields that the requests of one batch must share."""


def generate(
    model: VideoModel, requests: Sequence[Request], *, on_step: OnStep = ignore_step, watch: Watch = unwatched
) -> Float[Tensor, "b t 3 h w"]:
    """Return one clip a request, pixels in [-1, 1]; a clip does not depend on the others of its batch.

    Raises InputError for a size the model cannot make, a picture that cannot be read or is not the one that was asked
    for, and requests that cannot share a batch.
    """
    first = requests[0]
    for name in BATCHED:
        if any(getattr(request, name) != getattr(first, name) for request in requests):
            raise InputError(f"requests of one batch differ in {name}; generate them in separate batches")
    if first.task != model.config.task:
        raise InputError(f"requests are for the task {first.task}, the model is one of {model.config.task}")
    check_size(first.height, first.width, factor=model.autoencoder.config.factor)
    inputs = Inputs(
        samples=[(request.seed,) for request in requests],
        prompts=[request.prompt for request in requests if request.prompt is not None],
        pictures=_pictures(requests),
        fps=[request.fps for request in requests],
        motion_bucket=[request.motion_bucket_id for request in requests],
        noise_level=[request.noise_aug_strength for request in requests],
        elevation_deg=[_elevations(request) for request in requests],
        azimuth_deg=[request.azimuths_deg or orbit_azimuths(request.num_frames).tolist() for request in requests],
    )
    if model.unet.config.vector_dim is not None:
        signals: Signals = {"fps": per_clip(inputs.fps), "motion_bucket": per_clip(inputs.motion_bucket)}
        used: Signals = {name: values for name, values in signals.items() if name in model.config.signal_names}
        warn_if_untrained(used, model.config.micro)
    for request in requests:
        warn_if_far(request, model.config)
    return sample_clips(
        model,
        inputs,
        sampling=first.sampling,
        num_frames=first.num_frames,
        height=first.height,
        width=first.width,
        on_step=on_step,
        watch=watch,
    )


@dataclass(frozen=True)
class Clip:
    """A finished clip: its pixels in [-1, 1] and everything that made it."""

    pixels: Float[Tensor, "t 3 h w"]
    request: Request
    settings: dict[str, Any]

    def save(self, path: str | Path) -> None:
        """Write it with its settings, as `write_video` does, to play at the rate that was asked for."""
        write_video(path, self.pixels, parse_rate(self.request.output_fps), self.settings)


def make_clip(
    model: LoadedModel, *, image: str | Path | None = None, prompt: str | None = None, **choices: Any
) -> Clip:
    """Return one clip from a picture or a sentence; `choices` are fields of `Choices`, such as seed and num_frames.

    Raises InputError for choices that are unknown or out of range, for inputs that the model's task does not take, and
    for pictures that cannot be read.
    """
    chosen = validate(Choices, {"speed": model.speed, **choices}, source="make_clip")
    given = {"image": None if image is None else str(image), "prompt": prompt}
    inputs = validate(ClipInputs, given, source="make_clip")
    request = chosen.request(inputs, model.files.ref, model.config, loras=model.loras)
    return make_clips(model, [request])[0]


def make_clips(
    model: LoadedModel, requests: Sequence[Request], *, on_step: OnStep = ignore_step, watch: Watch = unwatched
) -> list[Clip]:
    """Return a clip for each request, as `generate` does; also raise ItemError for pixels that are not finite."""
    pixels = generate(model, requests, on_step=on_step, watch=watch)
    if not bool(pixels.isfinite().all()):
        raise ItemError(f"the clip has pixels that are not numbers{_likely_cause(model)}")
    return [Clip(one, request, settings(request, model)) for one, request in zip(pixels, requests, strict=True)]


def _likely_cause(model: LoadedModel) -> str:
    """Return what may have made NaN or infinity, as the end of a message."""
    dtype = precision_of(model.unet)
    if model.loras:
        named = " or ".join(f"{lora.path}:{lora.weight:g}" for lora in model.loras)
        return f": the likely cause is the LoRA {named}, give it less weight or leave it out"
    return "" if dtype == "float32" else f": the model computes in {dtype}, try --dtype float32"


def settings(request: Request, model: LoadedModel) -> dict[str, Any]:
    """Return `Settings` as plain JSON values."""
    return Settings(
        request=request,
        model_hash=model.files.content_hash(model.config.task),
        device=model.device.type,
        dtype=precision_of(model.unet),
        decoding=model.memory.decoding,
        compiled=is_compiled(model.unet),
        versions={package: version(package) for package in PACKAGES},
    ).model_dump(mode="json")


def _pictures(requests: Sequence[Request]) -> Float[Tensor, "b 3 h w"] | None:
    pictures = [_picture(request) for request in requests if request.image is not None]
    return torch.stack(pictures) if pictures else None


def _picture(request: Request) -> Float[Tensor, "3 h w"]:
    assert request.image is not None
    check_files(request)
    return task_named(request.task).load_picture(Path(request.image), request.height, request.width, request.resize)


def _elevations(request: Request) -> Sequence[float]:
    """Return one a frame, so that all clips of a batch have as many."""
    angles = request.elevations_deg or ()
    return angles * request.num_frames if len(angles) == 1 else angles
