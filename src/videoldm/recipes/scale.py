"""The two scales of a line of recipes: as published, and so small that a stage trains on a CPU within minutes.

A recipe is a function of the scale, so that both have the same tasks, starts, noise and conditions and differ in sizes
and lengths only. Mini pictures have an eighth of the published height and width.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from videoldm.conditioners.config import DropoutConfig, MicroConfig, MicroSignal, MotionLevels
from videoldm.dataset.config import Bucket
from videoldm.diffusion.config import (
    IndependentNoise,
    NoiseLevels,
    Preconditioning,
    TrainingNoise,
    VPrediction,
)
from videoldm.models.presets import MINI as MINI_MODEL
from videoldm.models.presets import SD21
from videoldm.models.unet.config import NoTemporalLayers, TemporalLayers, UNetConfig
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig, TaskName
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Need
from videoldm.training.config import (
    AdamW,
    ClassicAverage,
    ConstantRate,
    ExecutionConfig,
    OptimizerConfig,
    TrainingConfig,
)
from videoldm.training.data.config import CuratedData, Data, EncodedAnew, NoCaptions, SampledCaptions, WorldData
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import AllParameters, DiffusionStage, FromModel, Start, Trained

STABLE_DIFFUSION = "stabilityai/stable-diffusion-2-1"
SVD = "stabilityai/stable-video-diffusion-img2vid"
MINI_STABLE_DIFFUSION = "mini-stable-diffusion"
TRAIN, VALIDATION = "dataset/train", "dataset/validation"
"""Where the recipes of published size look for clips that `videoldm curate export` wrote."""
RATES = (Fraction(7), Fraction(12), Fraction(24))
"""Frames a second, equally often; our choice, so that the fps condition means something."""
STILL = SignalDefaults(fps=1, motion_bucket=0, noise_level=0)


@dataclass(frozen=True, kw_only=True)
class Length:
    """How long a stage is trained: in iterations as published, in samples where it is mini."""

    iterations: int
    batch: int
    learning_rate: float
    mini_samples: int
    warmup_iterations: int = 1000
    ema_decay: float = 0.9999


@dataclass(frozen=True, kw_only=True)
class Clips:
    """What a stage is trained on, as published; a picture is a clip of one frame."""

    num_frames: int
    height: int
    width: int
    rates: tuple[Fraction, ...] = RATES


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Sizes, places and lengths of one line of recipes."""

    prefix: str
    unet: UNetConfig
    """Of the image model that the line starts from."""
    divisor: int
    """Of heights and widths."""
    embedding_dim: int
    """Of each signal."""
    motion_levels: MotionLevels
    autoencoder: str
    text_encoder: str
    image_encoder: str
    image_model: Start
    """The image model that the line starts from."""

    @property
    def is_mini(self) -> bool:
        """Whether it is the small one."""
        return self.divisor > 1

    def after(self, name: str) -> FromModel:
        """The start from what a recipe exported."""
        return FromModel(model=f"runs/{self.prefix}{name}/export")

    def recipe(
        self,
        name: str,
        summary: str,
        *,
        task: TaskName,
        clips: Clips,
        start: Start,
        noise_levels: NoiseLevels,
        length: Length,
        sampling: SamplingConfig,
        dropout: DropoutConfig,
        signals: tuple[MicroSignal, ...] = (),
        trained: Trained | None = None,
        preconditioning: Preconditioning | None = None,
        noise: TrainingNoise | None = None,
    ) -> Recipe:
        """A diffusion stage at this scale; without `signals` the model is told nothing but the noise level."""
        height, width = clips.height // self.divisor, clips.width // self.divisor
        micro = MicroConfig(
            signals=signals or ("fps", "motion_bucket"),
            embedding_dim=self.embedding_dim,
            motion_levels=self.motion_levels,
        )
        changes = {
            "temporal": NoTemporalLayers() if task == "text-to-image" else TemporalLayers(),
            "vector_dim": micro.vector_dim if signals else None,
            "concat_channels": self.unet.in_channels if task_named(task).joins_latents else 0,
        }
        data, validation = self._data(
            clips, height, width, batch=length.batch, by_picture=Need.PICTURE in task_named(task).needs
        )
        stage = DiffusionStage(
            unet=self.unet.model_copy(update=changes),
            start=start,
            trained=trained or AllParameters(),
            autoencoder=self.autoencoder,
            encoders=self.image_encoder if Need.PICTURE in task_named(task).needs else self.text_encoder,
            data=data,
            validation=validation,
            noise_levels=noise_levels,
            noise=noise or IndependentNoise(),
            dropout=dropout,
            model=TaskModelConfig(
                task=task,
                num_frames=clips.num_frames,
                height=height,
                width=width,
                preconditioning=preconditioning or VPrediction(),
                micro=micro,
                signals=STILL if task == "text-to-image" else SignalDefaults(),
                sampling=sampling,
            ),
        )
        size = f"{clips.num_frames} x {height}x{width}" if clips.num_frames > 1 else f"{height}x{width}"
        return Recipe(
            name=self.prefix + name,
            summary=f"{summary}, {size}",
            stage=stage,
            training=self._training(length, is_image=clips.num_frames == 1),
        )

    def _data(self, clips: Clips, height: int, width: int, *, batch: int, by_picture: bool) -> tuple[Data, Data]:
        """What is trained on and what is held out: the rendered world, or curated clips."""
        if self.is_mini:
            num_frames = max(2, clips.num_frames)  # a picture is a frame of a clip
            train = WorldData(split="train", num_clips=512, num_frames=num_frames, height=height, width=width)
            return train, train.model_copy(update={"split": "validation", "num_clips": 64})
        rates = clips.rates if clips.num_frames > 1 else clips.rates[:1]
        curated = CuratedData(
            folder=TRAIN,
            buckets=tuple(
                Bucket(height=height, width=width, num_frames=clips.num_frames, fps=fps, batch_size=batch)
                for fps in rates
            ),
            captions=NoCaptions() if by_picture else SampledCaptions(),
            latents=EncodedAnew(),
        )
        return curated, curated.model_copy(update={"folder": VALIDATION})

    def _training(self, length: Length, *, is_image: bool) -> TrainingConfig:
        if self.is_mini:
            batch, num_samples, faster = (32 if is_image else 8), length.mini_samples, 10
            warmup, ema_decay = num_samples // 20, 0.99
        else:
            batch, num_samples, faster = length.batch, length.batch * length.iterations, 1
            warmup, ema_decay = length.batch * length.warmup_iterations, length.ema_decay
        period = batch * (64 if self.is_mini else 1000)
        return TrainingConfig(
            num_samples=num_samples,
            batch_size=batch,
            optimizer=OptimizerConfig(
                learning_rate=length.learning_rate * faster,
                warmup_samples=warmup,
                decay=ConstantRate(),
                algorithm=AdamW(betas=(0.9, 0.999), weight_decay=0.01),
            ),
            average=ClassicAverage(decay=ema_decay),
            precision="bfloat16",
            log_every_samples=period // 8,
            validate_every_samples=period,
            checkpoint_every_samples=period,
            execution=ExecutionConfig(recompute="none" if self.is_mini else "blocks"),
        )


PAPER = Scale(
    prefix="",
    unet=SD21.unet,
    divisor=1,
    embedding_dim=256,
    motion_levels=MotionLevels(),
    autoencoder=STABLE_DIFFUSION,
    text_encoder=STABLE_DIFFUSION,
    image_encoder=SVD,
    image_model=FromModel(model=STABLE_DIFFUSION),
)
MINI = Scale(
    prefix="mini-",
    unet=MINI_MODEL.unet.model_copy(update={"temporal": NoTemporalLayers(), "vector_dim": None}),
    divisor=8,
    embedding_dim=64,
    motion_levels=MotionLevels(low=33, medium=57, high=129),
    autoencoder="mini",
    text_encoder="mini",
    image_encoder="mini",
    image_model=FromModel(model=f"runs/{MINI_STABLE_DIFFUSION}/export"),
)
