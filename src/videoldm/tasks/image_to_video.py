"""Image to video: the picture's CLIP token as context, its noised latent beside the noise of every frame (SVD, D.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from videoldm.conditioners.config import MICRO_ORDER, MicroConfig
from videoldm.core.errors import InputError
from videoldm.diffusion.config import CONDITION_AUGMENTATION, Guidance, Karras, LinearOverFrames
from videoldm.tasks.config import SamplingConfig, TaskModelConfig
from videoldm.tasks.task import Inputs, Need, Task, TrainingClips

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from videoldm.checkpoints.checkpoint import Checkpoint
    from videoldm.checkpoints.layouts.diffusers_config import EulerScheduler
    from videoldm.diffusion.conditioning import Conditioning
    from videoldm.tasks.model import VideoModel

AUGMENTATION_LEVEL = "augmentation level"

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
"""Sampling of the published models, as in the official scripts."""
SVD_NUM_FRAMES, SVD_XT_NUM_FRAMES = 14, 25


class ImageToVideo(Task):
    """A clip from a picture, which need not be its first frame."""

    name = "image-to-video"
    needs = frozenset({Need.PICTURE})
    encoders = ("image_encoder",)
    joins_latents = True
    has_foreign_layouts = True

    def training_inputs(self, clips: TrainingClips) -> Inputs:
        """Return first frame, frame rate and measured motion of each clip; noise levels as in SVD, D.4."""
        from videoldm.conditioners.micro import bucket_of_motion
        from videoldm.core.random import generator
        from videoldm.diffusion.noise import draw_sigmas

        levels = draw_sigmas(
            CONDITION_AUGMENTATION,
            [generator(seed, AUGMENTATION_LEVEL, *position) for seed, *position in clips.samples],
        )
        return Inputs(
            samples=clips.samples,
            pictures=clips.first_frames,
            fps=[float(record.fps) for record in clips.records],
            motion_bucket=[bucket_of_motion(record.motion) for record in clips.records],
            noise_level=levels.tolist(),
        )

    def conditioning(self, model: VideoModel, inputs: Inputs, *, num_frames: int) -> Conditioning:
        """Return context from the clean picture, the raw latent of the noised one, and the signals."""
        from videoldm.tasks.conditioning import picture_conditioning

        return picture_conditioning(model, inputs, num_frames=num_frames)

    def null_context(self, model: VideoModel) -> Float[Tensor, "1 n d"] | None:
        """Return None: SVD's unconditional branch has zeros for the token and the latent."""
        del model
        return None

    def is_of_kind(self, checkpoint: Checkpoint) -> bool:
        """Whether all parts are there and the UNet takes SVD's three signals."""
        is_whole = checkpoint.autoencoder is not None and checkpoint.image_encoder is not None
        return is_whole and (checkpoint.unet.config.vector_dim or 1) % len(MICRO_ORDER) == 0

    def published_config(self, checkpoint: Checkpoint) -> TaskModelConfig:
        """Return the defaults of SVD or SVD-XT; raise InputError for a scheduler that is not theirs."""
        from videoldm.checkpoints.layouts.diffusers_config import EulerScheduler

        default = svd_xt() if _is_xt(checkpoint) else svd()
        changes: dict[str, object] = {}
        if checkpoint.num_frames is not None:
            changes["num_frames"] = checkpoint.num_frames
        vector_dim = checkpoint.unet.config.vector_dim or default.micro.vector_dim
        changes["micro"] = MicroConfig(embedding_dim=vector_dim // len(MICRO_ORDER))
        if isinstance(checkpoint.scheduler, EulerScheduler):
            schedule = _schedule(checkpoint.scheduler, str(checkpoint.source))
            changes["sampling"] = default.sampling.model_copy(update={"schedule": schedule})
        return default.model_copy(update=changes)


def svd() -> TaskModelConfig:
    """Return the defaults of Stable Video Diffusion."""
    return TaskModelConfig(
        task=ImageToVideo.name, num_frames=SVD_NUM_FRAMES, height=576, width=1024, sampling=SVD_SAMPLING
    )


def svd_xt() -> TaskModelConfig:
    """Return the defaults of Stable Video Diffusion XT."""
    return svd().model_copy(update={"num_frames": SVD_XT_NUM_FRAMES, "sampling": SVD_XT_SAMPLING})


def _is_xt(checkpoint: Checkpoint) -> bool:
    """Whether it is SVD-XT: by its preset where sizes are those of a published model, else by its length."""
    named = {"svd": False, "svd-xt": True}.get(checkpoint.preset or "")
    return (checkpoint.num_frames or SVD_NUM_FRAMES) > SVD_NUM_FRAMES if named is None else named


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
