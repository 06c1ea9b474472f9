"""The small model that ships with the package, one recipe a stage; each trains on two CPU cores within two hours."""

from collections.abc import Mapping
from types import MappingProxyType

from videoldm.conditioners.config import DropoutConfig, MicroConfig, MotionLevels
from videoldm.diffusion.config import Constant, Euler, Guidance, Karras, LinearOverFrames, LogNormal
from videoldm.measures.config import FeatureNetworkConfig
from videoldm.models.clip.config import MINI_IMAGE_ENCODER, MINI_TEXT_ENCODER
from videoldm.models.presets import MINI
from videoldm.models.unet.config import NoTemporalLayers, UNetConfig
from videoldm.synthetic.vocabulary import LABELS
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig, TaskName
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Need
from videoldm.tasks.text_to_image import STILL
from videoldm.training.config import AdamW, CosineRate, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import PannedPictures, WorldData
from videoldm.training.recipe import Recipe
from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel, FromScratch, Start
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.judge.config import JudgeStage

TRAIN_CLIPS = WorldData(split="train", num_clips=4096)
VALIDATION_CLIPS = WorldData(split="validation", num_clips=256)
JUDGED_CLIPS = WorldData(split="validation", num_clips=1024)
# Quartiles of the rendered training clips. Half of those whose object moves under a still camera are below 46.
MOTION_LEVELS = MotionLevels(low=33, medium=57, high=129)
MAX_MOTION_BUCKETS: Mapping[TaskName, float] = MappingProxyType(
    {"text-to-image": 0, "text-to-video": 189, "image-to-video": 196}
)
"""Highest buckets of the training clips; for image-to-video, those over pictures are included."""
SIGNALS: Mapping[TaskName, SignalDefaults] = MappingProxyType(
    {
        "text-to-image": STILL,
        "text-to-video": SignalDefaults(fps=7, motion_bucket=48, noise_level=0),
        # Clips move less than their bucket says: with this one, half as much as 24 validation scenes on average.
        "image-to-video": SignalDefaults(fps=7, motion_bucket=110, noise_level=0.02),
    }
)


def mini_autoencoder() -> Recipe:
    """Frames of the world and crops of real pictures, to and from latents."""
    return Recipe(
        name="mini-autoencoder",
        summary="autoencoder, factor 8, trained on rendered frames and crops of pictures",
        stage=AutoencoderStage(
            model=MINI.autoencoder,
            data=WorldData(split="train", num_clips=1024),
            validation=VALIDATION_CLIPS,
            pictures="runs/pictures",
            picture_fraction=0.15,
        ),
        training=_training(num_samples=262_144, batch_size=8, learning_rate=1e-3),
    )


def mini_encoders() -> Recipe:
    """Text and image encoder, contrastive on captions and frames."""
    return Recipe(
        name="mini-encoders",
        summary="text and image encoder, contrastive on captions and frames",
        stage=EncodersStage(
            text=MINI_TEXT_ENCODER, image=MINI_IMAGE_ENCODER, data=TRAIN_CLIPS, validation=VALIDATION_CLIPS
        ),
        training=_training(num_samples=49_152, batch_size=64, learning_rate=1e-3),
    )


def mini_judge() -> Recipe:
    """The feature network that judges generated clips."""
    return Recipe(
        name="mini-judge",
        summary="feature network: shape, colour, motion and camera of a clip",
        stage=JudgeStage(model=FeatureNetworkConfig(heads=LABELS), data=TRAIN_CLIPS, validation=JUDGED_CLIPS),
        training=_training(num_samples=49_152, batch_size=16, learning_rate=2e-3, weight_decay=0.05),
    )


def mini_image() -> Recipe:
    """Stage I: text to image, a UNet without temporal layers on single frames."""
    return _diffusion(
        "mini-image",
        "text to image: a UNet without temporal layers, on single frames",
        model=_task_model("text-to-image", num_frames=1),
        unet=MINI.unet.model_copy(update={"temporal": NoTemporalLayers()}),
        start=FromScratch(),
        noise_levels=LogNormal(p_mean=-0.4, p_std=1.4),
        training=_training(num_samples=262_144, batch_size=32, learning_rate=1.5e-3),
    )


def mini_video() -> Recipe:
    """Stage II: text to video, temporal layers inserted into the image model, all layers trained."""
    return _diffusion(
        "mini-video",
        "text to video: temporal layers inserted into the image model, all layers trained",
        model=_task_model("text-to-video", num_frames=MINI.num_frames),
        unet=MINI.unet,
        start=FromModel(model="runs/mini-image/export"),
        noise_levels=LogNormal(p_mean=1.2, p_std=1.7),
        training=_training(num_samples=49_152, batch_size=8, learning_rate=1e-3, validate_every_samples=4_096),
    )


def mini_video_from_scratch() -> Recipe:
    """The video stage without the image stage: what the papers compare with."""
    recipe = mini_video()
    stage = recipe.stage
    assert isinstance(stage, DiffusionStage)
    return recipe.model_copy(
        update={
            "name": "mini-video-from-scratch",
            "summary": "text to video from random weights, for comparison with mini-video",
            "stage": stage.model_copy(update={"start": FromScratch()}),
        }
    )


def mini_text_to_video() -> Recipe:
    """Stage III: the text-to-video model finetuned at high noise levels, where it is decided what moves where to."""
    return _diffusion(
        "mini-text-to-video",
        "text to video: the video model finetuned at high noise levels, which decide on motion",
        model=_task_model("text-to-video", num_frames=MINI.num_frames),
        unet=MINI.unet,
        start=FromModel(model="runs/mini-video/export"),
        noise_levels=LogNormal(p_mean=2.2, p_std=1.5),
        training=_training(num_samples=10_240, batch_size=8, learning_rate=5e-4, validate_every_samples=5_120),
    )


def mini_image_to_video() -> Recipe:
    """Stage III: image to video, grown from the text-to-video model."""
    return _diffusion(
        "mini-image-to-video",
        "image to video: the video model with the image's token and latent as conditions",
        model=_task_model("image-to-video", num_frames=MINI.num_frames),
        unet=MINI.unet.model_copy(update={"concat_channels": MINI.unet.in_channels}),
        start=FromModel(model="runs/mini-video/export"),
        noise_levels=LogNormal(p_mean=1.2, p_std=1.7),
        training=_training(num_samples=32_768, batch_size=8, learning_rate=1e-3, validate_every_samples=4_096),
        panned_pictures=PannedPictures(folder="runs/pictures", num_clips=512),
    )


def _diffusion(
    name: str,
    summary: str,
    *,
    model: TaskModelConfig,
    unet: UNetConfig,
    start: Start,
    noise_levels: LogNormal,
    training: TrainingConfig,
    panned_pictures: PannedPictures | None = None,
) -> Recipe:
    """Return a diffusion stage with what all of them share."""
    return Recipe(
        name=name,
        summary=summary,
        stage=DiffusionStage(
            model=model,
            unet=unet,
            start=start,
            autoencoder="runs/mini-autoencoder/export",
            encoders="runs/mini-encoders/export",
            data=TRAIN_CLIPS,
            panned_pictures=panned_pictures,
            validation=VALIDATION_CLIPS,
            noise_levels=noise_levels,
            dropout=DropoutConfig(joint=0.15),
        ),
        training=training,
    )


def _task_model(task: TaskName, *, num_frames: int) -> TaskModelConfig:
    """Clips and sampling defaults; guidance by text is constant, by image linear over the frames (SVD, D.4)."""
    by_image = Need.PICTURE in task_named(task).needs
    scale = LinearOverFrames(min_scale=1.5, max_scale=2.0) if by_image else Constant(scale=3.0)
    return TaskModelConfig(
        task=task,
        num_frames=num_frames,
        height=64,
        width=64,
        micro=MicroConfig(
            embedding_dim=64,
            trained_fps=(1, 1) if num_frames == 1 else (5, 10),
            trained_max_motion_bucket=MAX_MOTION_BUCKETS[task],
            motion_levels=MOTION_LEVELS,
        ),
        signals=SIGNALS[task],
        sampling=SamplingConfig(
            num_inference_steps=25,
            schedule=Karras(sigma_min=0.02, sigma_max=200.0),
            sampler=Euler(),
            guidance=Guidance(scale=scale),
        ),
    )


def _training(
    *,
    num_samples: int,
    batch_size: int,
    learning_rate: float,
    weight_decay: float = 0.0,
    validate_every_samples: int = 16_384,
) -> TrainingConfig:
    """Return the settings of a run with what all stages share."""
    return TrainingConfig(
        num_samples=num_samples,
        batch_size=batch_size,
        optimizer=OptimizerConfig(
            learning_rate=learning_rate,
            warmup_samples=100 * batch_size,
            decay=CosineRate(final_fraction=0.02),
            algorithm=AdamW(weight_decay=weight_decay),
        ),
        precision="bfloat16",
        validate_every_samples=validate_every_samples,
        checkpoint_every_samples=validate_every_samples,
    )
