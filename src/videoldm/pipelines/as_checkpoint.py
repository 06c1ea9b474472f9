"""A model of our own layout as a published checkpoint, to be written in another layout."""

from __future__ import annotations

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.layouts.diffusers_config import EulerScheduler, svd_scheduler
from videoldm.conditioners.config import MICRO_ORDER
from videoldm.core.errors import InputError
from videoldm.core.progress import notice
from videoldm.diffusion.config import Karras, KarrasToZero, VPrediction
from videoldm.models.presets import preset_of
from videoldm.pipelines.folder import NativeFolder
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.registry import all_tasks


def as_checkpoint(files: NativeFolder) -> Checkpoint:
    """Return the model of a folder as a checkpoint; raise InputError for one that no other layout can hold."""
    able = [task.name for task in all_tasks() if task.has_foreign_layouts]
    task = next((name for name in able if name in files.tasks), None)
    if task is None:
        raise InputError(
            f"model {files.ref.name} can do {', '.join(files.tasks) or 'nothing'}: of our own layout, other layouts "
            f"hold {', '.join(able)} only"
        )
    parts, config = files.parts(task), files.config(task)
    calibration, told = config.micro.motion_calibration, config.signals.motion_bucket
    if calibration is not None:
        notice(
            f"{files.ref.name}: other layouts have no motion calibration: there, a clip that is to move as bucket "
            f"{told:g} says takes bucket {calibration.conditioned_on(told):.0f}"
        )
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
        scheduler=_scheduler(config, files.ref.name),
    )


def _scheduler(config: TaskModelConfig, name: str) -> EulerScheduler:
    """Return SVD's scheduler with the noise levels that the model is sampled at."""
    schedule = config.sampling.schedule
    is_like_svd = isinstance(config.preconditioning, VPrediction) and config.micro.signals == MICRO_ORDER
    if not is_like_svd or not isinstance(schedule, Karras | KarrasToZero):
        raise InputError(
            f"model {name} should be conditioned on {', '.join(MICRO_ORDER)}, predict v and sample at "
            f"Karras' levels, as SVD does"
        )
    if isinstance(schedule, KarrasToZero):
        steps = config.sampling.num_inference_steps
        notice(
            f"{name}: other layouts do not say how a student is sampled: give --num-inference-steps {steps} "
            f"--guidance-scale 1 --schedule {schedule.kind} with it"
        )
    return svd_scheduler(sigma_min=schedule.sigma_min, sigma_max=schedule.sigma_max)
