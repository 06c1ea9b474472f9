"""Finished image-to-video models finetuned on clips of one's own, from the folder `clips`; torch-free.

The noise levels are those at which each model learned to start from a picture; batch, learning rate and length are our
choice, small enough for one machine.
"""

from fractions import Fraction

from videoldm.dataset.config import Bucket
from videoldm.recipes.mini import mini_image_to_video
from videoldm.recipes.scale import SVD
from videoldm.recipes.svd import svd_image_to_video_576x1024
from videoldm.training.config import AdamW, ClassicAverage, ExecutionConfig, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import CachedLatents, CuratedData, Data, HeldOutVideos, NoCaptions, OtherVideos
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel

FOLDER = "clips"
FPS = Fraction(7)


def finetune() -> Recipe:
    """Stable Video Diffusion on clips of one's own."""
    return _recipe(
        "finetune",
        "Stable Video Diffusion on your own clips",
        svd_image_to_video_576x1024(),
        model=SVD,
        training=TrainingConfig(
            num_samples=8 * 5_000,
            batch_size=8,
            accumulation_steps=8,
            optimizer=_optimizer(learning_rate=1e-5, warmup_samples=8 * 500),
            average=ClassicAverage(decay=0.999),
            precision="bfloat16",
            log_every_samples=80,
            validate_every_samples=4_000,
            checkpoint_every_samples=4_000,
            execution=ExecutionConfig(recompute="blocks"),
        ),
    )


def mini_finetune() -> Recipe:
    """The model of the package on clips of one's own."""
    return _recipe(
        "mini-finetune",
        "the model of the package on your own clips",
        mini_image_to_video(),
        model="mini",
        training=TrainingConfig(
            num_samples=2_048,
            batch_size=8,
            optimizer=_optimizer(learning_rate=2e-4, warmup_samples=128),
            average=ClassicAverage(decay=0.99),
            precision="bfloat16",
            log_every_samples=64,
            validate_every_samples=512,
            checkpoint_every_samples=512,
        ),
    )


def once_more(like: Recipe, *, start: str, data: Data, validation: Data, **changes: object) -> DiffusionStage:
    """The stage that made a model, from the finished model itself and on other clips."""
    stage = like.stage
    assert isinstance(stage, DiffusionStage)
    parts = {"start": FromModel(model=start), "autoencoder": start, "encoders": start}
    clips = {"data": data, "panned_pictures": None, "validation": validation}
    return DiffusionStage.model_validate(stage.model_copy(update=parts | clips | changes).model_dump())


def _recipe(name: str, summary: str, like: Recipe, *, model: str, training: TrainingConfig) -> Recipe:
    """The stage that made the model, once more, from the model itself and on other clips."""
    assert isinstance(like.stage, DiffusionStage)
    made = like.stage.model
    size = {"height": made.height, "width": made.width, "num_frames": made.num_frames}
    clips = CuratedData(
        folder=FOLDER,
        videos=OtherVideos(),
        buckets=(Bucket(**size, fps=FPS, batch_size=training.batch_size),),
        captions=NoCaptions(),
        latents=CachedLatents(windows_per_clip=4),
    )
    held_out = clips.model_copy(update={"videos": HeldOutVideos()})
    return Recipe(
        name=name,
        summary=f"{summary}, {size['num_frames']} x {size['height']}x{size['width']}",
        stage=once_more(like, start=model, data=clips, validation=held_out),
        training=training,
    )


def _optimizer(*, learning_rate: float, warmup_samples: int) -> OptimizerConfig:
    algorithm = AdamW(betas=(0.9, 0.999), weight_decay=0.01)
    return OptimizerConfig(learning_rate=learning_rate, warmup_samples=warmup_samples, algorithm=algorithm)
