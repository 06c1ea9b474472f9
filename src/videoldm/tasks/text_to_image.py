"""Text to image, the first stage of training: clips of a single frame. Stable Diffusion 2.1 is published for it."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from videoldm.core.errors import InputError
from videoldm.diffusion.config import DDIM, Constant, DiscreteEps, DiscreteV, Guidance, SDDiscrete
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig
from videoldm.tasks.task import Inputs, TrainingClips
from videoldm.tasks.text_to_video import TextToVideo

if TYPE_CHECKING:
    from videoldm.checkpoints.checkpoint import Checkpoint
    from videoldm.checkpoints.layouts.diffusers_image_config import ImageScheduler

SD_SAMPLING = SamplingConfig(
    num_inference_steps=50,
    schedule=SDDiscrete(last_level="lowest"),
    sampler=DDIM(),
    guidance=Guidance(scale=Constant(scale=7.5)),
)
"""The official script's, whose last step ends at the lowest level; its noise stays in the picture."""
STILL = SignalDefaults(fps=1, motion_bucket=0, noise_level=0)


class TextToImage(TextToVideo):
    """A picture from a sentence: text to video with captions that say nothing of motion."""

    name = "text-to-image"
    still_task = None
    idle_options = MappingProxyType(
        {**TextToVideo.idle_options, **dict.fromkeys(("fps", "motion_bucket_id"), "on a picture")}
    )

    def default_ending(self, num_frames: int) -> str:
        """Return the ending of a picture, unless there are several."""
        return ".png" if num_frames == 1 else super().default_ending(num_frames)

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Return the caption of what is visible; the signals are those of a still."""
        count = len(clips.records)
        return Inputs(
            samples=clips.samples,
            prompts=[record.image_caption for record in clips.records],
            fps=[1.0] * count,
            motion_bucket=[0.0] * count,
            noise_level=[0.0] * count,
        )

    def is_of_kind(self, checkpoint: Checkpoint) -> bool:
        """Whether the UNet has no temporal layers."""
        return checkpoint.unet.config.temporal_layers is None

    def obstacle(self, checkpoint: Checkpoint) -> str | None:
        """Return what keeps an image model from making pictures from text; None if nothing does."""
        unet = checkpoint.unet.config
        if unet.num_noise_indices is not None:
            return "is an upscaler, which enlarges pictures and cannot make any; only info and convert read it"
        if unet.concat_channels:
            return f"reads {unet.concat_channels} channels beside the latents, which {self.name} does not give it"
        parts = {"autoencoder": checkpoint.autoencoder, "text encoder": checkpoint.text_encoder}
        missing = [name for name, part in parts.items() if part is None]
        return (
            f"has no {', no '.join(missing)}: take the folder in diffusers' layout, which has all" if missing else None
        )

    def published_config(self, checkpoint: Checkpoint) -> TaskModelConfig:
        """Return the defaults of Stable Diffusion; raise InputError for a scheduler with other noise levels."""
        from videoldm.checkpoints.layouts.diffusers_image_config import ImageScheduler

        assert checkpoint.autoencoder is not None
        prediction: Literal["v_prediction", "epsilon"] = "v_prediction"
        changes: dict[str, object] = {}
        if isinstance(checkpoint.scheduler, ImageScheduler):
            scheduler = checkpoint.scheduler
            _check_levels(scheduler, str(checkpoint.source))
            prediction = scheduler.prediction_type
            schedule = SDDiscrete(spacing=scheduler.timestep_spacing, last_level=scheduler.last_level)
            changes["sampling"] = SD_SAMPLING.model_copy(update={"schedule": schedule})
        if checkpoint.latent_size is not None:
            size, factor = checkpoint.latent_size, checkpoint.autoencoder.config.factor
            height, width = size if isinstance(size, tuple) else (size, size)
            changes |= {"height": height * factor, "width": width * factor}
        return stable_diffusion(prediction).model_copy(update=changes)


def stable_diffusion(prediction: Literal["v_prediction", "epsilon"]) -> TaskModelConfig:
    """Return the defaults of Stable Diffusion 2.1 ("v_prediction") or of its base ("epsilon").

    Weights do not tell the two apart; what the scheduler expects of the network does.
    """
    side, preconditioning = (768, DiscreteV()) if prediction == "v_prediction" else (512, DiscreteEps())
    return TaskModelConfig(
        task=TextToImage.name,
        num_frames=1,
        height=side,
        width=side,
        preconditioning=preconditioning,
        signals=STILL,
        sampling=SD_SAMPLING,
    )


def _check_levels(scheduler: ImageScheduler, source: str) -> None:
    from videoldm.diffusion.schedules import BETA_END, BETA_START, NUM_LEVELS

    kind, levels = scheduler.beta_schedule, scheduler.num_train_timesteps
    if (kind, scheduler.beta_start, scheduler.beta_end, levels) != ("scaled_linear", BETA_START, BETA_END, NUM_LEVELS):
        raise InputError(
            f"{source}: its scheduler has {levels} {kind} levels from beta {scheduler.beta_start} to "
            f"{scheduler.beta_end}, they should be {NUM_LEVELS} scaled_linear ones from {BETA_START} to {BETA_END}"
        )
