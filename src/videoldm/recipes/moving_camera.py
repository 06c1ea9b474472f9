"""An image-to-video model that is trained on cameras alone: what the mini model's camera LoRAs choose from.

The mini model learns how objects move and hardly a camera, so that a LoRA of its attention along time has no camera
motion to choose. This one sees clips in which only the camera moves, to one side, closer, or not at all. It is told the
same signals for all clips, as the motion bucket of a rendered clip gives away what its camera does.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Literal

from videoldm.diffusion.config import LogNormal
from videoldm.recipes.finetune import once_more
from videoldm.recipes.mini import mini_image_to_video
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.vocabulary import CameraMotion
from videoldm.training.config import CosineRate, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import Fixed
from videoldm.training.recipe import Recipe
from videoldm.training.stages.config import DiffusionStage
from videoldm.training.stages.data_config import WorldData

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
