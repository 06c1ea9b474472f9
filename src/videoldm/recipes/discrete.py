"""Models at Stable Diffusion's thousand noise levels: Video LDM, and the ablations of SVD; as published and mini.

Both take v-prediction and DDIM with 50 steps. Offset noise of strength 0.1, the average of decay 0.9999, AdamW's betas
and decay and the warm-up are our choice, as is that these models are told neither frame rate nor motion.
"""

from fractions import Fraction

from videoldm.conditioners.config import DropoutConfig
from videoldm.diffusion.config import DDIM, Constant, DiscreteUniform, DiscreteV, Guidance, OffsetNoise, SDDiscrete
from videoldm.recipes.scale import MINI, PAPER, Clips, Length, Scale
from videoldm.tasks.config import SamplingConfig
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import FromScratch, Start, TemporalParameters

KEY_FRAMES = Fraction(15, 8)
"""Frames a second of Video LDM's key frames: 7.5 and 30 after one and two interpolations."""
RATE = Fraction(7)
"""Of the ablations, our choice; a single one, as these models are not told the rate."""
TEXT_DROP = DropoutConfig(joint=0.1)
SAMPLING = SamplingConfig(
    num_inference_steps=50,
    schedule=SDDiscrete(last_level="lowest"),
    sampler=DDIM(),
    guidance=Guidance(scale=Constant(scale=12.0)),
)


def video_ldm_frames() -> Recipe:
    """Stable Diffusion finetuned on frames of videos, as Video LDM does before time is inserted (section 4.2).

    Everything but the size is our choice: the paper says "briefly".
    """
    return _frames(PAPER)


def mini_video_ldm_frames() -> Recipe:
    """The same, mini: 40x64."""
    return _frames(MINI)


def video_ldm() -> Recipe:
    """Video LDM: the image model is frozen, only the temporal layers learn (section 3.1).

    Key frames of text to video at 320x512. Iterations, batch and rate are those of SVD's ablations, as the tables of
    the paper's appendix were not at hand.
    """
    return _video_ldm(PAPER)


def mini_video_ldm() -> Recipe:
    """The same, mini: 40x64."""
    return _video_ldm(MINI)


def svd_ablation() -> Recipe:
    """The model of SVD's studies of data and filters: 40,000 steps at 256x256 (SVD, E.2.1)."""
    return _ablation(PAPER, "svd-ablation", "from the image model", PAPER.image_model)


def mini_svd_ablation() -> Recipe:
    """The same, mini: 32x32."""
    return _ablation(MINI, "svd-ablation", "from the image model", MINI.image_model)


def svd_ablation_from_scratch() -> Recipe:
    """The same from random weights, to see what the image model is worth (SVD, section 3.2)."""
    return _ablation(PAPER, "svd-ablation-from-scratch", "from random weights", FromScratch())


def mini_svd_ablation_from_scratch() -> Recipe:
    """The same, mini: 32x32."""
    return _ablation(MINI, "svd-ablation-from-scratch", "from random weights", FromScratch())


def svd_ablation_finetuned() -> Recipe:
    """The model of the studies finetuned on good clips: 50,000 steps at 512x512 (SVD, E.2.3)."""
    return _ablation_finetuned(PAPER)


def mini_svd_ablation_finetuned() -> Recipe:
    """The same, mini: 64x64."""
    return _ablation_finetuned(MINI)


def _frames(scale: Scale) -> Recipe:
    return scale.recipe(
        "video-ldm-frames",
        "Video LDM: the image model on frames of videos",
        task="text-to-image",
        clips=Clips(num_frames=1, height=320, width=512),
        start=scale.image_model,
        noise_levels=DiscreteUniform(),
        preconditioning=DiscreteV(),
        length=Length(iterations=10_000, batch=256, learning_rate=1e-5, mini_samples=4_096),
        sampling=SAMPLING,
        dropout=TEXT_DROP,
    )


def _video_ldm(scale: Scale) -> Recipe:
    return scale.recipe(
        "video-ldm",
        "Video LDM: the image model frozen, temporal layers trained",
        task="text-to-video",
        clips=Clips(num_frames=8, height=320, width=512, rates=(KEY_FRAMES,)),
        start=scale.after("video-ldm-frames"),
        trained=TemporalParameters(),
        noise_levels=DiscreteUniform(),
        preconditioning=DiscreteV(),
        length=Length(iterations=40_000, batch=256, learning_rate=1e-4, mini_samples=2_048),
        sampling=SAMPLING,
        dropout=TEXT_DROP,
    )


def _ablation(scale: Scale, name: str, origin: str, start: Start) -> Recipe:
    return scale.recipe(
        name,
        f"ablation: discrete noise levels, offset noise, {origin}",
        task="text-to-video",
        clips=Clips(num_frames=8, height=256, width=256, rates=(RATE,)),
        start=start,
        noise_levels=DiscreteUniform(),
        noise=OffsetNoise(),
        preconditioning=DiscreteV(),
        length=Length(iterations=40_000, batch=256, learning_rate=1e-4, mini_samples=4_096),
        sampling=SAMPLING,
        dropout=TEXT_DROP,
    )


def _ablation_finetuned(scale: Scale) -> Recipe:
    return scale.recipe(
        "svd-ablation-finetuned",
        "ablation: finetuned on good clips",
        task="text-to-video",
        clips=Clips(num_frames=8, height=512, width=512, rates=(RATE,)),
        start=scale.after("svd-ablation"),
        noise_levels=DiscreteUniform(),
        noise=OffsetNoise(),
        preconditioning=DiscreteV(),
        length=Length(iterations=50_000, batch=256, learning_rate=1e-4, mini_samples=2_048),
        sampling=SAMPLING,
        dropout=TEXT_DROP,
    )
