"""Published checkpoints as models of our tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from videoldm.checkpoints.bare_unet import open_unet
from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.diffusers_config import EulerScheduler
from videoldm.checkpoints.diffusers_folder import INDEX_FILE, open_folder
from videoldm.checkpoints.open_file import open_file
from videoldm.checkpoints.weights_file import refuse_pickle
from videoldm.conditioners.config import MICRO_ORDER, MicroConfig
from videoldm.core.errors import InputError
from videoldm.core.hashing import combined_hash
from videoldm.diffusion.config import Guidance, Karras, LinearOverFrames
from videoldm.tasks.config import SamplingConfig, TaskModelConfig, TaskName
from videoldm.tasks.files import require_task
from videoldm.tasks.parts import ModelParts
from videoldm.tasks.published_images import can_draw, is_image_model, text_to_image_config, why_no_picture

SVD_SAMPLING = SamplingConfig(
    num_inference_steps=25,
    schedule=Karras(),
    guidance=Guidance(scale=LinearOverFrames(min_scale=1.0, max_scale=2.5)),
)
SVD_XT_SAMPLING = SamplingConfig(
    num_inference_steps=30,
    schedule=Karras(),
    guidance=Guidance(scale=LinearOverFrames(min_scale=1.5, max_scale=3.0)),
)
SVD = TaskModelConfig(task="image-to-video", num_frames=14, height=576, width=1024, sampling=SVD_SAMPLING)
SVD_XT = TaskModelConfig(task="image-to-video", num_frames=25, height=576, width=1024, sampling=SVD_XT_SAMPLING)
DEFAULTS: Mapping[str, TaskModelConfig] = MappingProxyType({"svd": SVD, "svd-xt": SVD_XT})
"""What the official scripts sample each published model with."""


def open_published(name: str, *, variant: str | None = None, unet: str | None = None) -> PublishedModel:
    """A pipeline's folder, here or on the hub, or a single file; see `open_model` for errors."""
    checkpoint = _checkpoint(name, variant)
    if unet is not None:
        files = (*checkpoint.files, Path(unet))
        checkpoint = replace(checkpoint, unet=open_unet(Path(unet), checkpoint.unet.config), files=files)
    return PublishedModel(name=name, variant=variant, unet=unet, checkpoint=checkpoint)


def _checkpoint(name: str, variant: str | None) -> Checkpoint:
    path = Path(name)
    if not path.exists():
        from videoldm.checkpoints.hub import fetch

        path = fetch(name, variant=variant)
    refuse_pickle(path)
    if path.is_file():
        return open_file(path)
    if (path / INDEX_FILE).is_file():
        return open_folder(path, variant=variant)
    raise InputError(f"model {name}: is no model, a folder should hold {INDEX_FILE} or autoencoder/config.json")


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """See `ModelFiles`."""

    name: str
    variant: str | None
    unet: str | None
    checkpoint: Checkpoint

    @property
    def tasks(self) -> Sequence[TaskName]:
        """See `ModelFiles`."""
        if can_draw(self.checkpoint):
            return ["text-to-image"]
        has_all = self.checkpoint.autoencoder is not None and self.checkpoint.image_encoder is not None
        # SV3D has other signals in its vector, and no task yet.
        is_svd = (self.checkpoint.unet.config.vector_dim or 1) % len(MICRO_ORDER) == 0
        return ["image-to-video"] if has_all and is_svd else []

    @property
    def size_factor(self) -> int:
        """See `ModelFiles`."""
        assert self.checkpoint.autoencoder is not None
        return self.checkpoint.autoencoder.config.factor

    def config(self, task: TaskName) -> TaskModelConfig:
        """See `ModelFiles`; what the files do not say is as in the published model of these sizes."""
        self._require(task)
        return text_to_image_config(self.checkpoint) if task == "text-to-image" else _image_to_video(self.checkpoint)

    def content_hash(self, task: TaskName) -> str:
        """See `ModelFiles`."""
        del task
        return self._hash

    @cached_property
    def _hash(self) -> str:
        return combined_hash(self.checkpoint.files)

    def parts(self, task: TaskName) -> ModelParts:
        """See `ModelFiles`."""
        self._require(task)
        assert self.checkpoint.autoencoder is not None
        return ModelParts(
            unet=self.checkpoint.unet,
            autoencoder=self.checkpoint.autoencoder,
            image_encoder=self.checkpoint.image_encoder,
            text_encoder=self.checkpoint.text_encoder,
            tokenizer=self.checkpoint.tokenizer,
            dropped=self.checkpoint.dropped,
        )

    def _require(self, task: TaskName) -> None:
        if is_image_model(self.checkpoint) and (reason := why_no_picture(self.checkpoint)) is not None:
            raise InputError(f"model {self.name}: {reason}")
        require_task(self, task)


def _image_to_video(checkpoint: Checkpoint) -> TaskModelConfig:
    default = DEFAULTS.get(checkpoint.preset or "", SVD_XT if _is_xt(checkpoint) else SVD)
    changes: dict[str, object] = {}
    if checkpoint.num_frames is not None:
        changes["num_frames"] = checkpoint.num_frames
    vector_dim = checkpoint.unet.config.vector_dim or default.micro.vector_dim
    changes["micro"] = MicroConfig(embedding_dim=vector_dim // len(MICRO_ORDER))
    if isinstance(checkpoint.scheduler, EulerScheduler):
        schedule = _schedule(checkpoint.scheduler, str(checkpoint.source))
        changes["sampling"] = default.sampling.model_copy(update={"schedule": schedule})
    return default.model_copy(update=changes)


def _is_xt(checkpoint: Checkpoint) -> bool:
    return (checkpoint.num_frames or SVD.num_frames) > SVD.num_frames


def _schedule(scheduler: EulerScheduler, source: str) -> Karras:
    if (scheduler.prediction_type, scheduler.timestep_type) != ("v_prediction", "continuous"):
        raise InputError(
            f"{source}: its scheduler has {scheduler.prediction_type} and {scheduler.timestep_type} timesteps, an "
            "image-to-video model should have v_prediction and continuous ones"
        )
    default = Karras()
    return Karras(
        sigma_min=scheduler.sigma_min or default.sigma_min, sigma_max=scheduler.sigma_max or default.sigma_max
    )
