"""LoRAs of an image-to-video model: camera motions (SVD, D.4), and a style or a subject."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from videoldm.conditioners.config import DropoutConfig
from videoldm.diffusion.config import LogNormal
from videoldm.models.adapters.config import TemporalLayers
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.vocabulary import CameraMotion, Ground
from videoldm.training.config import ClassicAverage, CosineRate, OptimizerConfig, TrainingConfig
from videoldm.training.recipe import Recipe
from videoldm.training.stages.base_config import NamedModel
from videoldm.training.stages.data_config import WorldData
from videoldm.training.stages.lora_config import LoraStage

Camera = Literal["horizontal", "zooming", "static"]

CAMERAS: Mapping[Camera, tuple[CameraMotion, ...]] = MappingProxyType(
    {"horizontal": ("pan_left", "pan_right"), "zooming": ("zoom_in", "zoom_out"), "static": ("static",)}
)
"""The three subsets of SVD, D.4, in the camera motions of the rendered world."""
# On a plain ground nobody sees what the camera does.
PATTERNED: Mapping[Ground, float] = MappingProxyType({"checker": 1.0, "stripes": 1.0, "speckle": 1.0})
PUBLISHED = "stabilityai/stable-video-diffusion-img2vid-xt"


def mini_camera_horizontal() -> Recipe:
    """The mini model's camera turns left or right."""
    return _mini_camera("horizontal")


def mini_camera_zooming() -> Recipe:
    """The mini model's camera zooms in or out."""
    return _mini_camera("zooming")


def mini_camera_static() -> Recipe:
    """The mini model's camera does not move."""
    return _mini_camera("static")


def world_options(camera: Camera) -> WorldOptions:
    """Scenes with only that camera motion."""
    moving: dict[CameraMotion, float] = {motion: 1.0 for motion in CAMERAS[camera] if motion != "static"}
    options = WorldOptions(static_camera=0.0 if moving else 1.0, grounds=dict(PATTERNED))
    return options.model_copy(update={"cameras": moving}) if moving else options


def _mini_camera(camera: Camera) -> Recipe:
    data = WorldData(split="train", num_clips=512, options=world_options(camera))
    return Recipe(
        name=f"mini-camera-{camera}",
        summary=f"LoRA of the mini model's temporal attention: camera {camera}",
        stage=LoraStage(
            base=NamedModel(name="mini"),
            task="image-to-video",
            preset=TemporalLayers(rank=16),
            data=data,
            validation=data.model_copy(update={"split": "validation", "num_clips": 64}),
            noise_levels=LogNormal(p_mean=1.2, p_std=1.7),
            dropout=DropoutConfig(joint=0.15),
        ),
        training=TrainingConfig(
            num_samples=8_192,
            batch_size=8,
            optimizer=OptimizerConfig(learning_rate=2e-3, warmup_samples=400, decay=CosineRate(final_fraction=0.02)),
            average=ClassicAverage(decay=0.99),
            precision="bfloat16",
            log_every_samples=512,
            validate_every_samples=4_096,
            checkpoint_every_samples=2_048,
        ),
    )
