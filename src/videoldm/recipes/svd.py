"""Stable Video Diffusion, every stage from Stable Diffusion 2.1 on (SVD, App. D), as published and mini.

The paper gives frames, sizes, iterations, batches and learning rates of the video stages, and the noise levels of all.
It does not give, and we chose: AdamW with betas 0.9 and 0.999 and weight decay 0.01; 1,000 iterations of warm-up, then
a constant rate; bfloat16 with weights in float32; an average of decay 0.9999 in every stage, not only in those that
name it; clips at 7, 12 and 24 frames a second; sampling of the text stages by 50 Euler steps at guidance 7. Motion
buckets have our own scale (`conditioners/micro.py`), as the paper's is not public.

Each stage starts from the export of the one before it. The noise level of an image condition joins the vector with
weights of zero, as do the channels of its latent, so every stage begins where the last one ended. In stages from a
picture the context is one token, so queries, keys and the norm before them are not trained in cross-attention: nothing
can be learned there.
"""

from videoldm.conditioners.config import MICRO_ORDER, DropoutConfig, MicroSignal
from videoldm.diffusion.config import (
    DDIM,
    SVD_NOISE_LEVELS,
    Constant,
    DiscreteUniform,
    DiscreteV,
    Euler,
    Guidance,
    Karras,
    SDDiscrete,
)
from videoldm.recipes.scale import MINI, MINI_STABLE_DIFFUSION, Clips, Length, Scale
from videoldm.tasks.config import SamplingConfig
from videoldm.tasks.image_to_video import SVD_NUM_FRAMES, SVD_SAMPLING, SVD_XT_SAMPLING
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import FromScratch, TimeEmbedding

TEXT_DROP = DropoutConfig(joint=0.15)
TEXT_SIGNALS: tuple[MicroSignal, ...] = ("fps", "motion_bucket")
BY_TEXT = SamplingConfig(
    num_inference_steps=50, schedule=Karras(), sampler=Euler(), guidance=Guidance(scale=Constant(scale=7.0))
)


def mini_stable_diffusion() -> Recipe:
    """Stand-in for Stable Diffusion 2.1 in the mini line: pictures from text at its thousand noise levels."""
    return MINI.recipe(
        MINI_STABLE_DIFFUSION.removeprefix(MINI.prefix),
        "stands for Stable Diffusion 2.1: pictures from text at its discrete noise levels",
        task="text-to-image",
        clips=Clips(num_frames=1, height=512, width=512),
        start=FromScratch(),
        noise_levels=DiscreteUniform(),
        preconditioning=DiscreteV(),
        length=Length(iterations=0, batch=0, learning_rate=1.5e-4, mini_samples=32_768),
        sampling=SamplingConfig(
            num_inference_steps=50,
            schedule=SDDiscrete(last_level="lowest"),
            sampler=DDIM(),
            guidance=Guidance(scale=Constant(scale=3.0)),
        ),
        dropout=DropoutConfig(joint=0.1),
    )


def svd_image_warmup(scale: Scale) -> Recipe:
    """Stage I, first run: only the time embedding learns what the new c_noise means. Batch and rate are our choice."""
    return scale.recipe(
        "svd-image-warmup",
        "stage I: from discrete to continuous noise levels, time embedding only",
        task="text-to-image",
        clips=Clips(num_frames=1, height=512, width=512),
        start=scale.image_model,
        trained=TimeEmbedding(),
        noise_levels=SVD_NOISE_LEVELS["image"],
        length=Length(iterations=1_000, batch=1536, learning_rate=1e-4, mini_samples=4_096, warmup_iterations=100),
        sampling=BY_TEXT,
        dropout=TEXT_DROP,
    )


def svd_image(scale: Scale) -> Recipe:
    """Stage I, second run: all layers, at the size of the first video stage. Batch and rate are our choice."""
    return scale.recipe(
        "svd-image",
        "stage I: all layers at continuous noise levels",
        task="text-to-image",
        clips=Clips(num_frames=1, height=256, width=384),
        start=scale.after("svd-image-warmup"),
        noise_levels=SVD_NOISE_LEVELS["image"],
        length=Length(iterations=30_000, batch=1536, learning_rate=1e-4, mini_samples=16_384),
        sampling=BY_TEXT,
        dropout=TEXT_DROP,
    )


def svd_video_256x384(scale: Scale) -> Recipe:
    """Stage II: temporal layers inserted into the image model, all layers trained."""
    return scale.recipe(
        "svd-video-256x384",
        "stage II: video pretraining, temporal layers inserted",
        task="text-to-video",
        clips=Clips(num_frames=14, height=256, width=384),
        start=scale.after("svd-image"),
        noise_levels=SVD_NOISE_LEVELS["video_256x384"],
        length=Length(iterations=150_000, batch=1536, learning_rate=1e-4, mini_samples=4_096),
        signals=TEXT_SIGNALS,
        sampling=BY_TEXT,
        dropout=TEXT_DROP,
    )


def svd_video_320x576(scale: Scale) -> Recipe:
    """Stage II, larger and with more noise: the base model; P_std stays, as nothing else is said."""
    return scale.recipe(
        "svd-video-320x576",
        "stage II: video pretraining, larger and noisier: the base model",
        task="text-to-video",
        clips=Clips(num_frames=14, height=320, width=576),
        start=scale.after("svd-video-256x384"),
        noise_levels=SVD_NOISE_LEVELS["video_320x576"],
        length=Length(iterations=100_000, batch=768, learning_rate=1e-4, mini_samples=2_048),
        signals=TEXT_SIGNALS,
        sampling=BY_TEXT,
        dropout=TEXT_DROP,
    )


def svd_text_to_video_576x1024(scale: Scale) -> Recipe:
    """Stage III: text to video in high resolution."""
    return scale.recipe(
        "svd-text-to-video-576x1024",
        "stage III: high-quality text to video",
        task="text-to-video",
        clips=Clips(num_frames=14, height=576, width=1024),
        start=scale.after("svd-video-320x576"),
        noise_levels=SVD_NOISE_LEVELS["text_to_video_576x1024"],
        length=Length(iterations=50_000, batch=768, learning_rate=3e-5, mini_samples=1_024),
        signals=TEXT_SIGNALS,
        sampling=BY_TEXT,
        dropout=TEXT_DROP,
    )


def svd_image_to_video_320x576(scale: Scale) -> Recipe:
    """Stage III: image to video in the resolution of the base model; the picture is dropped as the text was."""
    return _by_image(
        scale,
        "svd-image-to-video-320x576",
        "stage III: image to video",
        clips=Clips(num_frames=14, height=320, width=576),
        start="svd-video-320x576",
        levels="image_to_video_320x576",
        mini_samples=2_048,
    )


def svd_image_to_video_576x1024(scale: Scale) -> Recipe:
    """Stage III: image to video in high resolution, 14 frames: SVD."""
    return _by_image(
        scale,
        "svd-image-to-video-576x1024",
        "stage III: high-quality image to video",
        clips=Clips(num_frames=14, height=576, width=1024),
        start="svd-image-to-video-320x576",
        levels="image_to_video_576x1024",
        mini_samples=1_024,
    )


def svd_xt_image_to_video_576x1024(scale: Scale) -> Recipe:
    """Stage III: 25 frames: SVD-XT, from SVD as its model card has it (the paper: from the base resolution)."""
    return _by_image(
        scale,
        "svd-xt-image-to-video-576x1024",
        "stage III: high-quality image to video, longer",
        clips=Clips(num_frames=25, height=576, width=1024),
        start="svd-image-to-video-576x1024",
        levels="image_to_video_576x1024",
        mini_samples=512,
    )


def _by_image(
    scale: Scale, name: str, summary: str, *, clips: Clips, start: str, levels: str, mini_samples: int
) -> Recipe:
    """Return a stage from a picture, sampled as the official scripts sample the published model."""
    return scale.recipe(
        name,
        summary,
        task="image-to-video",
        clips=clips,
        start=scale.after(start),
        noise_levels=SVD_NOISE_LEVELS[levels],
        length=Length(iterations=50_000, batch=768, learning_rate=3e-5, mini_samples=mini_samples),
        signals=MICRO_ORDER,
        sampling=SVD_XT_SAMPLING if clips.num_frames > SVD_NUM_FRAMES else SVD_SAMPLING,
        dropout=TEXT_DROP,
    )
