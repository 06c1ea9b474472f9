"""Finished models distilled into students of four steps without guidance, which need 4 calls of the network for 50.

The method is trajectory-segmented consistency distillation (arXiv 2404.13686, section 3.1; 2403.06807): four segments
of six steps of the teacher. Nothing is published for Stable Video Diffusion that we could follow: batch, learning rate
and length are our choice. The teacher's weights are in 16 bits, activations are computed twice.
"""

from fractions import Fraction

from videoldm.dataset.config import Bucket
from videoldm.recipes.mini import TRAIN_CLIPS, VALIDATION_CLIPS
from videoldm.recipes.scale import SVD, TRAIN, VALIDATION, Scale
from videoldm.tasks.config import TaskName
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Need
from videoldm.training.config import (
    AdamW,
    ClassicAverage,
    CosineRate,
    ExecutionConfig,
    OptimizerConfig,
    TrainingConfig,
)
from videoldm.training.data.config import CuratedData, Data, NoCaptions, PannedPictures, SampledCaptions
from videoldm.training.recipe import Recipe
from videoldm.training.stages.distillation.config import DistillationStage

BATCH = 32


def distil_text_to_video(scale: Scale) -> Recipe:
    """A student of the text-to-video model of stage III, or of the package's."""
    return _student(
        scale,
        "distil-text-to-video",
        task="text-to-video",
        teacher=scale.pick(paper="runs/svd-text-to-video-576x1024/export", mini="mini"),
        panned_pictures=None,
    )


def distil_image_to_video(scale: Scale) -> Recipe:
    """A student of Stable Video Diffusion, or of the package's image-to-video model."""
    return _student(
        scale,
        "distil-image-to-video",
        task="image-to-video",
        teacher=scale.pick(paper=SVD, mini="mini"),
        panned_pictures=scale.pick(paper=None, mini=PannedPictures(folder="runs/pictures", num_clips=512)),
    )


def _student(
    scale: Scale, name: str, *, task: TaskName, teacher: str, panned_pictures: PannedPictures | None
) -> Recipe:
    data, validation = scale.pick(paper=_curated(task), mini=(TRAIN_CLIPS, VALIDATION_CLIPS))
    what = task.replace("-", " ")
    return Recipe(
        name=scale.prefix + name,
        summary=f"{what} in four steps without guidance, distilled from a finished model",
        stage=DistillationStage(
            teacher=teacher,
            task=task,
            data=data,
            panned_pictures=panned_pictures,
            validation=validation,
            frozen_precision=scale.pick(paper="bfloat16", mini="float32"),
        ),
        training=scale.pick(paper=_published_training(), mini=_mini_training()),
    )


def _curated(task: TaskName) -> tuple[Data, Data]:
    bucket = Bucket(height=576, width=1024, num_frames=14, fps=Fraction(7), batch_size=BATCH)
    captions = SampledCaptions() if Need.TEXT in task_named(task).needs else NoCaptions()
    data = CuratedData(folder=TRAIN, buckets=(bucket,), captions=captions)
    return data, data.model_copy(update={"folder": VALIDATION})


def _published_training() -> TrainingConfig:
    return TrainingConfig(
        num_samples=BATCH * 10_000,
        batch_size=BATCH,
        accumulation_steps=16,
        optimizer=OptimizerConfig(
            learning_rate=1e-5, warmup_samples=BATCH * 500, algorithm=AdamW(betas=(0.9, 0.999), weight_decay=0.01)
        ),
        average=ClassicAverage(decay=0.999),
        precision="bfloat16",
        log_every_samples=BATCH * 25,
        validate_every_samples=BATCH * 500,
        checkpoint_every_samples=BATCH * 500,
        execution=ExecutionConfig(recompute="blocks"),
    )


def _mini_training() -> TrainingConfig:
    return TrainingConfig(
        num_samples=12_288,
        batch_size=8,
        optimizer=OptimizerConfig(learning_rate=3e-4, warmup_samples=256, decay=CosineRate(final_fraction=0.02)),
        average=ClassicAverage(decay=0.99),
        precision="bfloat16",
        log_every_samples=256,
        validate_every_samples=4_096,
        checkpoint_every_samples=2_048,
    )
