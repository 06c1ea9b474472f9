"""LoRAs of finished models: camera motions of image-to-video (SVD, D.4), and a style.

The paper gives rank, layers and 5,000 iterations; batch, learning rate and noise levels are our choice, the levels
those that the model itself was finetuned at. Which clips have a camera that moves as named is a matter of curation: the
recipes of published size read one export for each LoRA.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from videoldm.conditioners.config import DropoutConfig
from videoldm.dataset.config import Bucket
from videoldm.diffusion.config import SVD_NOISE_LEVELS, LogNormal
from videoldm.models.adapters.config import LoraPreset, SpatialAttention, TemporalAttention
from videoldm.recipes.scale import SVD
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.vocabulary import CameraMotion, Ground
from videoldm.training.config import (
    AdamW,
    ClassicAverage,
    CosineRate,
    ExecutionConfig,
    OptimizerConfig,
    TrainingConfig,
)
from videoldm.training.data.config import CuratedData, NoCaptions
from videoldm.training.recipe import Recipe
from videoldm.training.stages.data_config import WorldData
from videoldm.training.stages.lora_config import LoraStage, Task

Camera = Literal["horizontal", "zooming", "static"]

CAMERAS: Mapping[Camera, tuple[CameraMotion, ...]] = MappingProxyType(
    {"horizontal": ("pan_left", "pan_right"), "zooming": ("zoom_in", "zoom_out"), "static": ("static",)}
)
"""The three subsets of SVD, D.4, in the camera motions of the rendered world."""
# On a plain ground nobody sees what the camera does.
PATTERNED: Mapping[Ground, float] = MappingProxyType({"checker": 1.0, "stripes": 1.0, "speckle": 1.0})
DROPOUT = DropoutConfig(joint=0.15)
MINI_LEVELS = LogNormal(p_mean=2.0, p_std=1.5)
"""Higher than those of the mini model's own training: it is at high levels that the camera's way is decided."""


def camera_horizontal() -> Recipe:
    """SVD's camera moves to the side."""
    return _published("camera-horizontal", "LoRA of SVD: the camera moves to the side", TemporalAttention(rank=16))


def mini_camera_horizontal() -> Recipe:
    """The mini model's camera turns left or right."""
    return _mini_camera("horizontal")


def camera_zooming() -> Recipe:
    """SVD's camera zooms."""
    return _published("camera-zooming", "LoRA of SVD: the camera zooms", TemporalAttention(rank=16))


def mini_camera_zooming() -> Recipe:
    """The mini model's camera zooms in or out."""
    return _mini_camera("zooming")


def camera_static() -> Recipe:
    """SVD's camera stands still."""
    return _published("camera-static", "LoRA of SVD: the camera stands still", TemporalAttention(rank=16))


def mini_camera_static() -> Recipe:
    """The mini model's camera does not move."""
    return _mini_camera("static")


def style() -> Recipe:
    """SVD's pictures keep a style over the whole clip."""
    return _published("style", "LoRA of SVD: clips keep the style of the export's", SpatialAttention(rank=16))


def mini_style() -> Recipe:
    """The mini model's ground is striped, whatever the text says."""
    striped = WorldOptions(grounds={"stripes": 1.0})
    return _mini("style", "every ground is striped", SpatialAttention(rank=16), striped, task="text-to-video")


def world_options(camera: Camera) -> WorldOptions:
    """Scenes with only that camera motion."""
    moving: dict[CameraMotion, float] = {motion: 1.0 for motion in CAMERAS[camera] if motion != "static"}
    options = WorldOptions(static_camera=0.0 if moving else 1.0, grounds=dict(PATTERNED))
    return options.model_copy(update={"cameras": moving}) if moving else options


def _published(name: str, summary: str, preset: LoraPreset) -> Recipe:
    """A LoRA of SVD, its weights in 16 bits and its activations computed twice, so that a GPU of 24 GB may do."""
    bucket = Bucket(height=576, width=1024, num_frames=14, fps=Fraction(7), batch_size=8)
    data = CuratedData(folder=f"datasets/{name}/train", buckets=(bucket,), captions=NoCaptions())
    return Recipe(
        name=name,
        summary=summary,
        stage=LoraStage(
            base=SVD,
            task="image-to-video",
            preset=preset,
            frozen_precision="bfloat16",
            data=data,
            validation=data.model_copy(update={"folder": f"datasets/{name}/validation"}),
            noise_levels=SVD_NOISE_LEVELS["image_to_video_576x1024"],
            dropout=DROPOUT,
        ),
        training=TrainingConfig(
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
        ),
    )


def _mini_camera(camera: Camera) -> Recipe:
    return _mini(f"camera-{camera}", f"camera {camera}", TemporalAttention(rank=16), world_options(camera))


def _mini(name: str, what: str, preset: LoraPreset, options: WorldOptions, *, task: Task = "image-to-video") -> Recipe:
    data = WorldData(split="train", num_clips=512, options=options)
    return Recipe(
        name=f"mini-{name}",
        summary=f"LoRA of the mini model: {what}",
        stage=LoraStage(
            base="mini",
            task=task,
            preset=preset,
            data=data,
            validation=data.model_copy(update={"split": "validation", "num_clips": 64}),
            noise_levels=MINI_LEVELS,
            dropout=DROPOUT,
        ),
        training=TrainingConfig(
            num_samples=3_200,
            batch_size=4,
            optimizer=OptimizerConfig(learning_rate=4e-3, warmup_samples=100, decay=CosineRate(final_fraction=0.02)),
            average=ClassicAverage(decay=0.99),
            precision="bfloat16",
            log_every_samples=160,
            validate_every_samples=3_200,
            checkpoint_every_samples=1_600,
        ),
    )
