"""Models at Stable Diffusion's thousand noise levels: Video LDM, and the ablations of SVD.

Both take v-prediction and DDIM with 50 steps. Offset noise of strength 0.1, the average of decay 0.9999, AdamW's betas
and decay and the warm-up are our choice, as is that these models are conditioned on neither frame rate nor motion.
"""

from fractions import Fraction

from videoldm.conditioners.config import DropoutConfig
from videoldm.diffusion.config import (
    DDIM,
    Constant,
    DiscreteUniform,
    DiscreteV,
    Guidance,
    OffsetNoise,
    SDDiscrete,
    TrainingNoise,
)
from videoldm.recipes.scale import Clips, Length, Scale
from videoldm.tasks.config import SamplingConfig, TaskName
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import FromScratch, Start, TemporalParameters, Trained

KEY_FRAMES = Fraction(15, 8)
"""Frames a second of Video LDM's key frames: 7.5 and 30 after one and two interpolations."""
RATE = Fraction(7)
"""Frames a second in the ablations, our choice; a single one, as these models are not conditioned on it."""


def video_ldm_frames(scale: Scale) -> Recipe:
    """Stable Diffusion finetuned on frames of videos, as Video LDM does before time is inserted (section 4.2).

    Everything but the size is our choice: the paper says "briefly".
    """
    return _recipe(
        scale,
        "video-ldm-frames",
        "Video LDM: the image model on frames of videos",
        task="text-to-image",
        clips=Clips(num_frames=1, height=320, width=512),
        start=scale.image_model,
        length=Length(iterations=10_000, batch=256, learning_rate=1e-5, mini_samples=4_096),
    )


def video_ldm(scale: Scale) -> Recipe:
    """Video LDM: the image model is frozen, only the temporal layers learn (section 3.1).

    Key frames of text to video at 320x512. Iterations, batch and rate are those of SVD's ablations, as the tables of
    the paper's appendix were not at hand.
    """
    return _recipe(
        scale,
        "video-ldm",
        "Video LDM: the image model frozen, temporal layers trained",
        task="text-to-video",
        clips=Clips(num_frames=8, height=320, width=512, rates=(KEY_FRAMES,)),
        start=scale.after("video-ldm-frames"),
        trained=TemporalParameters(),
        length=Length(iterations=40_000, batch=256, learning_rate=1e-4, mini_samples=2_048),
    )


def svd_ablation(scale: Scale) -> Recipe:
    """The model of SVD's studies of data and filters: 40,000 steps at 256x256 (SVD, E.2.1)."""
    return _ablation(scale, "svd-ablation", "from the image model", scale.image_model)


def svd_ablation_from_scratch(scale: Scale) -> Recipe:
    """The same from random weights, to see what the image model is worth (SVD, section 3.2)."""
    return _ablation(scale, "svd-ablation-from-scratch", "from random weights", FromScratch())


def svd_ablation_finetuned(scale: Scale) -> Recipe:
    """The model of the studies finetuned on good clips: 50,000 steps at 512x512 (SVD, E.2.3)."""
    return _recipe(
        scale,
        "svd-ablation-finetuned",
        "ablation: finetuned on good clips",
        task="text-to-video",
        clips=Clips(num_frames=8, height=512, width=512, rates=(RATE,)),
        start=scale.after("svd-ablation"),
        noise=OffsetNoise(),
        length=Length(iterations=50_000, batch=256, learning_rate=1e-4, mini_samples=2_048),
    )


def _ablation(scale: Scale, name: str, origin: str, start: Start) -> Recipe:
    return _recipe(
        scale,
        name,
        f"ablation: discrete noise levels, offset noise, {origin}",
        task="text-to-video",
        clips=Clips(num_frames=8, height=256, width=256, rates=(RATE,)),
        start=start,
        noise=OffsetNoise(),
        length=Length(iterations=40_000, batch=256, learning_rate=1e-4, mini_samples=4_096),
    )


def _recipe(
    scale: Scale,
    name: str,
    summary: str,
    *,
    task: TaskName,
    clips: Clips,
    start: Start,
    length: Length,
    trained: Trained | None = None,
    noise: TrainingNoise | None = None,
) -> Recipe:
    """Return a stage with the noise levels, the sampling and the dropout that all of these share."""
    return scale.recipe(
        name,
        summary,
        task=task,
        clips=clips,
        start=start,
        trained=trained,
        noise_levels=DiscreteUniform(),
        noise=noise,
        preconditioning=DiscreteV(),
        length=length,
        sampling=SamplingConfig(
            num_inference_steps=50,
            schedule=SDDiscrete(last_level="lowest"),
            sampler=DDIM(),
            guidance=Guidance(scale=Constant(scale=12.0)),
        ),
        dropout=DropoutConfig(joint=0.1),
    )
