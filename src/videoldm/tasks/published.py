"""Published checkpoints as models of our tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.layouts.diffusers_config import EulerScheduler
from videoldm.checkpoints.layouts.diffusers_folder import open_folder
from videoldm.checkpoints.layouts.single_file import open_file, open_unet
from videoldm.checkpoints.storage.file_names import INDEX_FILE
from videoldm.checkpoints.tokenizer import Tokenizer, openclip_tokenizer
from videoldm.conditioners.config import MICRO_ORDER, MicroConfig
from videoldm.core.errors import InputError
from videoldm.core.reading import combined_hash
from videoldm.diffusion.config import Guidance, Karras, LinearOverFrames
from videoldm.tasks.config import SamplingConfig, TaskModelConfig, TaskName
from videoldm.tasks.files import require_task
from videoldm.tasks.parts import ModelParts
from videoldm.tasks.published_images import can_draw, is_image_model, text_to_image_config, why_no_picture
from videoldm.tasks.published_multi_view import DEFAULTS as MULTI_VIEW

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


def open_published(
    name: str,
    *,
    variant: str | None = None,
    unet: str | None = None,
    tokenizer: str | None = None,
    allow_pickle: bool = False,
) -> PublishedModel:
    """A pipeline's folder, here or on the hub, or a single file; see `open_model` for errors."""
    checkpoint = _checkpoint(name, variant, allow_pickle=allow_pickle)
    if unet is not None:
        part = open_unet(Path(unet), checkpoint.unet.config, allow_pickle=allow_pickle)
        checkpoint = replace(checkpoint, unet=part, files=(*checkpoint.files, Path(unet)))
    if tokenizer is not None:
        if checkpoint.text_encoder is None:
            raise InputError(f"model {name} reads no text, it has no use for the tokenizer {tokenizer}")
        chosen = _tokenizer_in(Path(tokenizer), checkpoint)
        chosen.check()
        checkpoint = replace(checkpoint, tokenizer=chosen)
    return PublishedModel(name=name, variant=variant, unet=unet, tokenizer=tokenizer, checkpoint=checkpoint)


def _tokenizer_in(folder: Path, checkpoint: Checkpoint) -> Tokenizer:
    """A folder's tokenizer; a single file's text encoder is OpenCLIP's."""
    return openclip_tokenizer(folder) if checkpoint.layout == "sgm" else Tokenizer(folder)


def _checkpoint(name: str, variant: str | None, *, allow_pickle: bool) -> Checkpoint:
    path = Path(name)
    if not path.exists():
        from videoldm.checkpoints.storage.hub import fetch

        path = fetch(name, variant=variant)
    if path.is_file():
        return open_file(path, allow_pickle=allow_pickle)
    if (path / INDEX_FILE).is_file():
        return open_folder(path, variant=variant, allow_pickle=allow_pickle)
    raise InputError(f"model {name}: is no model, a folder should hold {INDEX_FILE} or autoencoder/config.json")


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """See `ModelFiles`."""

    name: str
    variant: str | None
    unet: str | None
    tokenizer: str | None = None
    checkpoint: Checkpoint

    @property
    def tasks(self) -> Sequence[TaskName]:
        """See `ModelFiles`."""
        if can_draw(self.checkpoint):
            return ["text-to-image"]
        if self.checkpoint.autoencoder is None or self.checkpoint.image_encoder is None:
            return []
        if self.checkpoint.preset in MULTI_VIEW:
            return ["multi-view"]
        is_svd = (self.checkpoint.unet.config.vector_dim or 1) % len(MICRO_ORDER) == 0
        return ["image-to-video"] if is_svd else []

    @property
    def size_factor(self) -> int:
        """See `ModelFiles`."""
        assert self.checkpoint.autoencoder is not None
        return self.checkpoint.autoencoder.config.factor

    def config(self, task: TaskName) -> TaskModelConfig:
        """See `ModelFiles`; what the files do not say is as in the published model of these sizes."""
        self._require(task)
        if task == "text-to-image":
            return text_to_image_config(self.checkpoint)
        return MULTI_VIEW.get(self.checkpoint.preset or "") or _image_to_video(self.checkpoint)

    def content_hash(self, task: TaskName) -> str:
        """See `ModelFiles`."""
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
                f"model {self.name} has no tokenizer and the hub is out of reach: put the folder tokenizer of "
                f"{STABLE_DIFFUSION[-1]} beside the model's file, or name one with --tokenizer"
            )
        return _tokenizer_in(folder, self.checkpoint)

    def parts(self, task: TaskName) -> ModelParts:
        """See `ModelFiles`."""
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
