"""The two scales of a recipe: as published, and mini, so small that a stage trains on a CPU within minutes.

A recipe is a function of the scale, so both scales have the same tasks, starts, noise and conditions, and the numbers
in which they differ stand side by side. Mini pictures have an eighth of the published height and width.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

from videoldm.conditioners.config import DropoutConfig, MicroConfig, MicroSignal, MotionLevels
from videoldm.dataset.config import Bucket
from videoldm.diffusion.config import IndependentNoise, NoiseLevels, Preconditioning, TrainingNoise, VPrediction
from videoldm.models.presets import MINI as MINI_MODEL
from videoldm.models.presets import SD21
from videoldm.models.unet.config import NoTemporalLayers, TemporalLayers, UNetConfig
from videoldm.tasks.config import SamplingConfig, SignalDefaults, TaskModelConfig, TaskName
from videoldm.tasks.registry import task_named
from videoldm.tasks.task import Need
from videoldm.tasks.text_to_image import STILL
from videoldm.training.config import AdamW, ClassicAverage, ExecutionConfig, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import CuratedData, Data, EncodedAnew, NoCaptions, SampledCaptions, WorldData
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import AllParameters, DiffusionStage, FromModel, Start, Trained

T = TypeVar("T")

STABLE_DIFFUSION = "stabilityai/stable-diffusion-2-1"
SVD = "stabilityai/stable-video-diffusion-img2vid"
MINI_STABLE_DIFFUSION = "mini-stable-diffusion"
TRAIN, VALIDATION = "dataset/train", "dataset/validation"
"""Folders with the clips of recipes of published size, as `videoldm curate export` writes them."""
RATES = (Fraction(7), Fraction(12), Fraction(24))
"""Frames a second, equally often; our choice, so that the fps condition means something."""


@dataclass(frozen=True, kw_only=True)
class Length:
    """Length of a stage's training: in iterations as published, in samples at mini scale."""

    iterations: int
    batch: int
    learning_rate: float
    mini_samples: int
    warmup_iterations: int = 1000
    ema_decay: float = 0.9999


@dataclass(frozen=True, kw_only=True)
class Clips:
    """Clips that a stage is trained on, as published; a picture is a clip of one frame."""

    num_frames: int
    height: int
    width: int
    rates: tuple[Fraction, ...] = RATES


@dataclass(frozen=True, kw_only=True)
class Scale(ABC):
    """Sizes of networks and clips, and the models that a line of recipes starts from."""

    prefix: str
    unet: UNetConfig
    """UNet of the image model that the line starts from."""
    divisor: int
    """Published height and width over those of this scale."""
    embedding_dim: int
    """Width of the embedding of each signal."""
    motion_levels: MotionLevels
    autoencoder: str
    text_encoder: str
    image_encoder: str
    image_model: Start
    """The image model that the line starts from."""

    @abstractmethod
    def pick(self, *, paper: T, mini: T) -> T:
        """Return the value of this scale."""

    @abstractmethod
    def data(self, clips: Clips, *, batch: int, has_captions: bool) -> tuple[Data, Data]:
        """Return the clips to train on and those to validate on."""

    @abstractmethod
    def training(self, length: Length, *, is_image: bool) -> TrainingConfig:
        """Return the settings of a run of that length."""

    def after(self, name: str) -> FromModel:
        """Start from what the recipe of that name exported at this scale."""
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
        """Return a diffusion stage at this scale; without `signals` the model is conditioned on none."""
        does, is_image, micro = task_named(task), clips.num_frames == 1, self._micro(signals)
        changes = {
            "temporal": NoTemporalLayers() if is_image else TemporalLayers(),
            "vector_dim": micro.vector_dim if signals else None,
            "concat_channels": self.unet.in_channels if does.joins_latents else 0,
            "reads_frame_mask": does.reads_frame_mask,
        }
        data, validation = self.data(clips, batch=length.batch, has_captions=Need.TEXT in does.needs)
        height, width = self.size(clips)
        stage = DiffusionStage(
            unet=self.unet.model_copy(update=changes),
            start=start,
            trained=trained or AllParameters(),
            autoencoder=self.autoencoder,
            encoders=self.image_encoder if "image_encoder" in does.encoders else self.text_encoder,
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
                signals=STILL if is_image else SignalDefaults(),
                sampling=sampling,
            ),
        )
        size = f"{height}x{width}" if is_image else f"{clips.num_frames} x {height}x{width}"
        return Recipe(
            name=self.prefix + name,
            summary=f"{summary}, {size}",
            stage=stage,
            training=self.training(length, is_image=is_image),
        )

    def size(self, clips: Clips) -> tuple[int, int]:
        """Return height and width of clips at this scale."""
        return clips.height // self.divisor, clips.width // self.divisor

    def _micro(self, signals: tuple[MicroSignal, ...]) -> MicroConfig:
        return MicroConfig(
            signals=signals or ("fps", "motion_bucket"),
            embedding_dim=self.embedding_dim,
            motion_levels=self.motion_levels,
        )


class PaperScale(Scale):
    """As published: curated clips, and lengths in iterations."""

    def pick(self, *, paper: T, mini: T) -> T:
        """Return the published value."""
        del mini
        return paper

    def data(self, clips: Clips, *, batch: int, has_captions: bool) -> tuple[Data, Data]:
        """Return curated clips, with a bucket for each rate; a picture is taken at the first rate."""
        height, width = self.size(clips)
        rates = clips.rates if clips.num_frames > 1 else clips.rates[:1]
        curated = CuratedData(
            folder=TRAIN,
            buckets=tuple(
                Bucket(height=height, width=width, num_frames=clips.num_frames, fps=fps, batch_size=batch)
                for fps in rates
            ),
            captions=SampledCaptions() if has_captions else NoCaptions(),
            latents=EncodedAnew(),
        )
        return curated, curated.model_copy(update={"folder": VALIDATION})

    def training(self, length: Length, *, is_image: bool) -> TrainingConfig:
        """Return the published length."""
        del is_image
        return _training(
            length.batch,
            num_samples=length.batch * length.iterations,
            learning_rate=length.learning_rate,
            warmup_samples=length.batch * length.warmup_iterations,
            ema_decay=length.ema_decay,
            period=1000 * length.batch,
            execution=ExecutionConfig(recompute="blocks"),
        )


class MiniScale(Scale):
    """Mini: clips of the rendered world, and lengths in samples."""

    def pick(self, *, paper: T, mini: T) -> T:
        """Return the mini value."""
        del paper
        return mini

    def data(self, clips: Clips, *, batch: int, has_captions: bool) -> tuple[Data, Data]:
        """Return rendered clips; a picture is a frame of a clip."""
        del batch, has_captions
        height, width = self.size(clips)
        num_frames = max(2, clips.num_frames)
        train = WorldData(split="train", num_clips=512, num_frames=num_frames, height=height, width=width)
        return train, train.model_copy(update={"split": "validation", "num_clips": 64})

    def training(self, length: Length, *, is_image: bool) -> TrainingConfig:
        """Return a short run with ten times the learning rate."""
        batch = 32 if is_image else 8
        return _training(
            batch,
            num_samples=length.mini_samples,
            learning_rate=10 * length.learning_rate,
            warmup_samples=length.mini_samples // 20,
            ema_decay=0.99,
            period=64 * batch,
            execution=ExecutionConfig(),
        )


def _training(
    batch_size: int,
    *,
    num_samples: int,
    learning_rate: float,
    warmup_samples: int,
    ema_decay: float,
    period: int,
    execution: ExecutionConfig,
) -> TrainingConfig:
    return TrainingConfig(
        num_samples=num_samples,
        batch_size=batch_size,
        optimizer=OptimizerConfig(
            learning_rate=learning_rate,
            warmup_samples=warmup_samples,
            algorithm=AdamW(betas=(0.9, 0.999), weight_decay=0.01),
        ),
        average=ClassicAverage(decay=ema_decay),
        precision="bfloat16",
        log_every_samples=period // 8,
        validate_every_samples=period,
        checkpoint_every_samples=period,
        execution=execution,
    )


PAPER = PaperScale(
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
MINI = MiniScale(
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
