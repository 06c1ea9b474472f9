"""A model of our own layout as a published checkpoint, to be written in another layout."""

from __future__ import annotations

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.layouts.diffusers_config import EulerScheduler, svd_scheduler
from videoldm.conditioners.config import MICRO_ORDER
from videoldm.core.errors import InputError
from videoldm.diffusion.config import Karras, VPrediction
from videoldm.models.presets import preset_of
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.folder import NativeFolder

TASK = "image-to-video"


def as_checkpoint(files: NativeFolder) -> Checkpoint:
    """The image-to-video model of a folder; raises InputError for one that no other layout can hold."""
    if TASK not in files.tasks:
        raise InputError(
            f"model {files.name} can do {', '.join(files.tasks) or 'nothing'}: of our own layout, other layouts hold "
            f"{TASK} only"
        )
    parts, config = files.parts(TASK), files.config(TASK)
    unet, autoencoder = parts.unet.config, parts.autoencoder.config
    return Checkpoint(
        source=files.folder,
        layout="native",
        preset=preset_of(unet, autoencoder, config.num_frames),
        files=(),
        unet=parts.unet,
        autoencoder=parts.autoencoder,
        image_encoder=parts.image_encoder,
        num_frames=config.num_frames,
        scheduler=_scheduler(config, files.name),
    )


def _scheduler(config: TaskModelConfig, name: str) -> EulerScheduler:
    """SVD's, with the noise levels that the model samples at."""
    schedule = config.sampling.schedule
    is_like_svd = isinstance(config.preconditioning, VPrediction) and config.micro.signals == MICRO_ORDER
    if not is_like_svd or not isinstance(schedule, Karras):
        raise InputError(
            f"model {name} should be told {', '.join(MICRO_ORDER)}, predict v and sample at Karras' levels, as SVD does"
        )
    return svd_scheduler(sigma_min=schedule.sigma_min, sigma_max=schedule.sigma_max)
