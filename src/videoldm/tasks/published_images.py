"""Published image models: Stable Diffusion 2.1 draws, its upscaler has no task of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from videoldm.checkpoints.checkpoint import Checkpoint
from videoldm.checkpoints.layouts.diffusers_image_config import ImageScheduler
from videoldm.core.errors import InputError
from videoldm.diffusion.config import DDIM, Constant, DiscreteEps, DiscreteV, Guidance, Preconditioning, SDDiscrete
from videoldm.diffusion.schedules import BETA_END, BETA_START, NUM_LEVELS
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig

SD_SAMPLING = SamplingConfig(
    num_inference_steps=50,
    schedule=SDDiscrete(last_level="lowest"),
    sampler=DDIM(),
    guidance=Guidance(scale=Constant(scale=7.5)),
)
"""The official script's, whose last step ends at the lowest level; its noise stays in the picture."""
STILL = SignalDefaults(fps=1, motion_bucket=0, noise_level=0)


def _stable_diffusion(side: int, preconditioning: Preconditioning) -> TaskModelConfig:
    return TaskModelConfig(
        task="text-to-image",
        num_frames=1,
        height=side,
        width=side,
        preconditioning=preconditioning,
        signals=STILL,
        sampling=SD_SAMPLING,
    )


SD21 = _stable_diffusion(768, DiscreteV())
SD21_BASE = _stable_diffusion(512, DiscreteEps())
BY_PREDICTION: Mapping[str, TaskModelConfig] = MappingProxyType({"v_prediction": SD21, "epsilon": SD21_BASE})
"""Weights do not tell Stable Diffusion 2.1 from its base; what the scheduler expects of the network does."""


def is_image_model(checkpoint: Checkpoint) -> bool:
    """Whether it makes pictures, not clips."""
    return checkpoint.unet.config.temporal_layers is None


def can_draw(checkpoint: Checkpoint) -> bool:
    """Whether it turns sentences into pictures and all parts of it are there."""
    return is_image_model(checkpoint) and why_no_picture(checkpoint) is None


def why_no_picture(checkpoint: Checkpoint) -> str | None:
    """What keeps an image model from drawing, None if nothing does."""
    unet = checkpoint.unet.config
    if unet.num_noise_indices is not None:
        return "is an upscaler, which enlarges pictures and cannot make any; no verb uses it but info and convert"
    if unet.concat_channels:
        return f"reads {unet.concat_channels} channels beside the latents, which text-to-image does not give it"
    parts = {"autoencoder": checkpoint.autoencoder, "text encoder": checkpoint.text_encoder}
    missing = [name for name, part in parts.items() if part is None]
    return f"has no {', no '.join(missing)}: take the folder in diffusers' layout, which has all" if missing else None


def text_to_image_config(checkpoint: Checkpoint) -> TaskModelConfig:
    """Defaults of sampling; raises InputError for a scheduler with other noise levels than Stable Diffusion's."""
    assert checkpoint.autoencoder is not None
    default = SD21
    changes: dict[str, object] = {}
    if isinstance(checkpoint.scheduler, ImageScheduler):
        scheduler = checkpoint.scheduler
        _check_levels(scheduler, str(checkpoint.source))
        default = BY_PREDICTION[scheduler.prediction_type]
        schedule = SDDiscrete(spacing=scheduler.timestep_spacing, last_level=scheduler.last_level)
        changes["sampling"] = SD_SAMPLING.model_copy(update={"schedule": schedule})
    if checkpoint.latent_size is not None:
        size, factor = checkpoint.latent_size, checkpoint.autoencoder.config.factor
        height, width = size if isinstance(size, tuple) else (size, size)
        changes |= {"height": height * factor, "width": width * factor}
    return default.model_copy(update=changes)


def _check_levels(scheduler: ImageScheduler, source: str) -> None:
    kind, levels = scheduler.beta_schedule, scheduler.num_train_timesteps
    if (kind, scheduler.beta_start, scheduler.beta_end, levels) != ("scaled_linear", BETA_START, BETA_END, NUM_LEVELS):
        raise InputError(
            f"{source}: its scheduler has {levels} {kind} levels from beta {scheduler.beta_start} to "
            f"{scheduler.beta_end}, they should be {NUM_LEVELS} scaled_linear ones from {BETA_START} to {BETA_END}"
        )
