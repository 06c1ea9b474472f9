"""LoRAs of finished models: camera motions of image-to-video (SVD, D.4) and a style; the mini model they start from.

The paper gives rank, layers and 5,000 iterations; batch, learning rate and noise levels are our choice, the levels
those that the model itself was finetuned at. Which clips have a camera that moves as named is a matter of curation: the
recipes of published size read one export for each LoRA.

The mini model learns how objects move and hardly a camera, so a LoRA of its temporal attention has no camera motion to
choose from. The mini LoRAs therefore start from `mini-moving-camera`, a model trained on clips in which only the camera
moves: to one side, closer, or not at all. It gets the same signals for all clips, because the motion bucket of a
rendered clip would give away what its camera does.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from videoldm.conditioners.config import DropoutConfig
from videoldm.dataset.config import Bucket
from videoldm.diffusion.config import SVD_NOISE_LEVELS, LogNormal
from videoldm.models.adapters.config import LoraPreset, SpatialAttentionLora, TemporalAttentionLora
from videoldm.recipes.finetune import once_more
from videoldm.recipes.mini import mini_image_to_video
from videoldm.recipes.scale import SVD, Scale
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.vocabulary import CameraMotion
from videoldm.tasks.config import TaskName
from videoldm.training.config import (
    AdamW,
    ClassicAverage,
    CosineRate,
    ExecutionConfig,
    OptimizerConfig,
    TrainingConfig,
)
from videoldm.training.data.config import CuratedData, Data, Fixed, NoCaptions, WorldData
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.lora.config import LoraStage

Camera = Literal["horizontal", "zooming", "static"]

CAMERAS: Mapping[Camera, tuple[CameraMotion, ...]] = MappingProxyType(
    {"horizontal": ("pan_right",), "zooming": ("zoom_in",), "static": ("static",)}
)
"""The three subsets of SVD, D.4, each with one camera motion of the rendered world."""
EXPORT = "runs/mini-moving-camera/export"
NUM_FRAMES = 4
LEVELS = LogNormal(p_mean=2.0, p_std=1.5)
"""Higher than those of the mini model's own training: it is at high levels that the camera's way is decided."""
MOVING: tuple[CameraMotion, ...] = ("pan_left", "pan_right", "zoom_in", "zoom_out")
WORLD = WorldOptions(
    second_object=0.0,
    moving_object=0.0,
    moving_object_under_moving_camera=0.0,
    spinning_object=0.0,
    static_camera=1 / (1 + len(MOVING)),
    grounds={"checker": 1.0},
    cameras=dict.fromkeys(MOVING, 1.0),
)
"""A still object on a checkered ground, seen by a camera that moves in each way as often."""
CLIPS = WorldData(
    split="train",
    num_clips=512,
    # Longer than what a sample takes: where a pan begins, the object stands at one side, which would tell where to.
    num_frames=20,
    rates=(Fraction(7),),
    options=WORLD,
    cameras=tuple(motion for motions in CAMERAS.values() for motion in motions),
    signals=Fixed(fps=7, motion_bucket=110),
)
HELD_OUT = CLIPS.model_copy(update={"split": "validation", "num_clips": 64})


def mini_moving_camera() -> Recipe:
    """The mini model's image-to-video, trained on scenes in which only the camera moves."""
    like = mini_image_to_video()
    assert isinstance(like.stage, DiffusionStage)
    return Recipe(
        name="mini-moving-camera",
        summary="image to video: the camera pans, zooms or stands still, nothing else moves",
        stage=once_more(
            like,
            start="mini",
            data=CLIPS,
            validation=HELD_OUT,
            noise_levels=LEVELS,
            model=like.stage.model.model_copy(update={"num_frames": NUM_FRAMES}),
            num_validation_clips=8,
        ),
        training=TrainingConfig(
            num_samples=25_600,
            batch_size=8,
            optimizer=OptimizerConfig(learning_rate=1.5e-3, warmup_samples=200, decay=CosineRate(final_fraction=0.02)),
            precision="bfloat16",
            log_every_samples=256,
            validate_every_samples=6_400,
            checkpoint_every_samples=6_400,
        ),
    )


def camera_horizontal(scale: Scale) -> Recipe:
    """The camera moves to the side."""
    return _camera(scale, "horizontal", "the camera moves to the side")


def camera_zooming(scale: Scale) -> Recipe:
    """The camera zooms."""
    return _camera(scale, "zooming", "the camera zooms")


def camera_static(scale: Scale) -> Recipe:
    """The camera stands still."""
    return _camera(scale, "static", "the camera stands still")


def style(scale: Scale) -> Recipe:
    """Pictures keep a style over the whole clip; with the mini LoRA, the ground is striped whatever the text says."""
    striped = WorldData(split="train", num_clips=512, options=WorldOptions(grounds={"stripes": 1.0}))
    return _lora(
        scale,
        "style",
        paper="clips keep the style of the export's",
        mini="every ground is striped",
        base=scale.pick(paper=SVD, mini="mini"),
        task=scale.pick(paper="image-to-video", mini="text-to-video"),
        preset=SpatialAttentionLora(rank=16),
        rendered=(striped, striped.model_copy(update={"split": "validation", "num_clips": 64})),
        mini_samples=3_200,
    )


def _camera(scale: Scale, camera: Camera, what: str) -> Recipe:
    only = {"cameras": CAMERAS[camera]}
    return _lora(
        scale,
        f"camera-{camera}",
        paper=what,
        mini=f"camera {camera}",
        base=scale.pick(paper=SVD, mini=EXPORT),
        task="image-to-video",
        preset=TemporalAttentionLora(rank=16),
        rendered=(CLIPS.model_copy(update=only), HELD_OUT.model_copy(update=only)),
        mini_samples=23_040,
    )


def _lora(
    scale: Scale,
    name: str,
    *,
    paper: str,
    mini: str,
    base: str,
    task: TaskName,
    preset: LoraPreset,
    rendered: tuple[WorldData, WorldData],
    mini_samples: int,
) -> Recipe:
    """Return a LoRA; `paper` and `mini` say what it does, and the mini one is trained on the rendered clips.

    SVD's own weights are in 16 bits and its activations are computed twice, so that a GPU of 24 GB may do.
    """
    data, validation = scale.pick(paper=_exported(name), mini=rendered)
    return Recipe(
        name=scale.prefix + name,
        summary=scale.pick(paper=f"LoRA of SVD: {paper}", mini=f"LoRA of the mini model: {mini}"),
        stage=LoraStage(
            base=base,
            task=task,
            preset=preset,
            frozen_precision=scale.pick(paper="bfloat16", mini="float32"),
            data=data,
            validation=validation,
            noise_levels=scale.pick(paper=SVD_NOISE_LEVELS["image_to_video_576x1024"], mini=LEVELS),
            dropout=DropoutConfig(joint=0.15),
        ),
        training=scale.pick(paper=_published_training(), mini=_mini_training(mini_samples)),
    )


def _exported(name: str) -> tuple[Data, Data]:
    bucket = Bucket(height=576, width=1024, num_frames=14, fps=Fraction(7), batch_size=8)
    data = CuratedData(folder=f"datasets/{name}/train", buckets=(bucket,), captions=NoCaptions())
    return data, data.model_copy(update={"folder": f"datasets/{name}/validation"})


def _published_training() -> TrainingConfig:
    return TrainingConfig(
        num_samples=8 * 5_000,
        batch_size=8,
        accumulation_steps=8,
        optimizer=OptimizerConfig(
            learning_rate=1e-4, warmup_samples=8 * 100, algorithm=AdamW(betas=(0.9, 0.999), weight_decay=0.01)
        ),
        average=ClassicAverage(decay=0.999),
        precision="bfloat16",
        log_every_samples=200,
        validate_every_samples=4_000,
        checkpoint_every_samples=4_000,
        execution=ExecutionConfig(recompute="blocks"),
    )


def _mini_training(num_samples: int) -> TrainingConfig:
    return TrainingConfig(
        num_samples=num_samples,
        batch_size=4,
        optimizer=OptimizerConfig(learning_rate=4e-3, warmup_samples=100, decay=CosineRate(final_fraction=0.02)),
        average=ClassicAverage(decay=0.99),
        precision="bfloat16",
        log_every_samples=160,
        validate_every_samples=num_samples,
        checkpoint_every_samples=480,
    )
