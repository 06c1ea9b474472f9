"""Training of image to video on a set of clips, finetuning on good ones, and evaluation on held-out clips."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from curated_sets import ClipSet
from jaxtyping import Float
from mini_quality import features_of, folder_of
from mixed_videos import MOVING
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.conditioners.micro import bucket_of_motion
from videoldm.core.progress import progress
from videoldm.dataset.clips import ClipShards
from videoldm.dataset.config import Bucket
from videoldm.measures.feature_distances import perceptual_distance
from videoldm.measures.feature_network import load_feature_network
from videoldm.measures.temporal import estimated_warping_error, video_motion
from videoldm.recipes.mini import mini_image_to_video
from videoldm.tasks.model import VideoModel
from videoldm.tasks.sampling import sample_clips
from videoldm.tasks.task import Inputs
from videoldm.training.config import CosineRate, OptimizerConfig, TrainingConfig
from videoldm.training.data.config import CachedLatents, CuratedData, Data, NoCaptions, WorldData
from videoldm.training.data.world import prepare_world
from videoldm.training.folder import EXPORT
from videoldm.training.recipe import Recipe
from videoldm.training.run import run
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel, Start
from videoldm.training.stages.diffusion.objective import DiffusionObjective
from videoldm.training.stages.diffusion.start import start_model

FPS = Fraction(7)
BATCH = 8
NUM_FRAMES = 8
"""As in the ablations of SVD (E.2), at little more than half the cost of the 14 frames of mini."""
BUCKET = Bucket(height=64, width=64, num_frames=NUM_FRAMES, fps=FPS, batch_size=BATCH)
WINDOWS = CachedLatents(windows_per_clip=2)
GOOD_CLIPS = WorldData(split="train", seed=1, num_clips=256, num_frames=NUM_FRAMES, rates=(FPS,), options=MOVING)
"""Rendered at their own size, neither scaled nor compressed."""
WATCHED_CLIPS = WorldData(split="validation", num_clips=64, num_frames=NUM_FRAMES, rates=(FPS,), options=MOVING)
HELD_OUT_CLIPS = WorldData(split="test", num_clips=256, num_frames=NUM_FRAMES, rates=(FPS,), options=MOVING)
MEASURED_SEED = 2026
"""Of all noise in what is measured, whatever the seed of the training."""
NUM_SAMPLING_STEPS = 10


@dataclass(frozen=True)
class Place:
    """Where runs begin, where they lie, and what they share."""

    image_model: Path
    runs: Path
    cache: Path


def pretrained(clips: ClipSet, place: Place, *, seed: int, num_samples: int) -> Path:
    """The export of a run on a set, from the image model."""
    data = CuratedData(folder=str(clips.folder), buckets=(BUCKET,), captions=NoCaptions(), latents=WINDOWS)
    start = FromModel(model=str(place.image_model))
    recipe = _recipe(f"{clips.name}-{seed}", start, data, seed=seed, num_samples=num_samples, learning_rate=1e-3)
    return _export(recipe, place)


def finetuned(name: str, export: Path, place: Place, *, seed: int, num_samples: int) -> Path:
    """The export of a run on the good clips, from a pretrained model."""
    start = FromModel(model=str(export))
    recipe = _recipe(f"{name}-{seed}", start, GOOD_CLIPS, seed=seed, num_samples=num_samples, learning_rate=3e-4)
    return _export(recipe, place)


def _export(recipe: Recipe, place: Place) -> Path:
    folder = place.runs / recipe.name
    return folder / EXPORT if (folder / EXPORT).exists() else run(recipe, folder, place.cache)


def _recipe(name: str, start: Start, data: Data, *, seed: int, num_samples: int, learning_rate: float) -> Recipe:
    """The shipped model's image-to-video stage, shorter, from another start and on other clips."""
    optimizer = OptimizerConfig(
        learning_rate=learning_rate, warmup_samples=num_samples // 8, decay=CosineRate(final_fraction=0.02)
    )
    training = TrainingConfig(
        seed=seed,
        num_samples=num_samples,
        batch_size=BATCH,
        optimizer=optimizer,
        precision="bfloat16",
        log_every_samples=128,
        checkpoint_every_samples=256,
        validate_every_samples=num_samples,
    )
    return Recipe(name=name, summary="image to video, for comparison", stage=_stage(start, data), training=training)


def _stage(start: Start, data: Data) -> DiffusionStage:
    stage = mini_image_to_video().stage
    assert isinstance(stage, DiffusionStage)
    changes = {"start": start, "data": data, "validation": WATCHED_CLIPS, "num_validation_clips": 1}
    changes |= {"panned_pictures": None, "autoencoder": "mini", "encoders": "mini"}
    changes |= {"model": stage.model.model_copy(update={"num_frames": NUM_FRAMES})}
    return DiffusionStage.model_validate(stage.model_dump() | changes)


@dataclass(frozen=True)
class Figures:
    """What held-out clips say of a model; `losses` has one value a clip."""

    losses: list[float]
    perceptual: float
    """Distance of sampled clips to those whose first frame and motion they were given."""
    motion: float
    """How much moves in sampled clips, over what moves in those."""
    warping: float


@torch.no_grad()
def measured(export: Path, cache: Path, *, num_sampled: int) -> Figures:
    """The same clips and the same noise for every model."""
    stage = _stage(FromModel(model=str(export)), HELD_OUT_CLIPS)
    stage = stage.model_copy(update={"validation": HELD_OUT_CLIPS, "dropout": DropoutConfig()})
    objective = DiffusionObjective(stage, seed=MEASURED_SEED, cache=cache)
    with progress("Losses", HELD_OUT_CLIPS.num_clips) as advance:
        losses: list[float] = []
        for first in range(0, HELD_OUT_CLIPS.num_clips, BATCH):
            losses += objective.losses(range(first, first + BATCH)).per_sample.tolist()
            advance(BATCH)
    model = start_model(stage, "cpu")
    shards = prepare_world(HELD_OUT_CLIPS, cache)
    true = torch.stack([shards.pixels(index) for index in range(num_sampled)])
    made = _sampled(model, shards, num_sampled)
    judge = load_feature_network(folder_of("mini") / "judge")
    return Figures(
        losses,
        perceptual=float(perceptual_distance(features_of(judge, made).maps, features_of(judge, true).maps).mean()),
        motion=float(video_motion(made, FPS).mean() / video_motion(true, FPS).mean()),
        warping=float(estimated_warping_error(made).nanmean()),
    )


def _sampled(model: VideoModel, shards: ClipShards, count: int) -> Float[Tensor, "b t c h w"]:
    """A clip from the first frame of each of some clips, conditioned on that clip's motion."""
    sampling = model.config.sampling.model_copy(update={"num_inference_steps": NUM_SAMPLING_STEPS})
    made: list[Tensor] = []
    with progress("Sampling", count) as advance:
        for first in range(0, count, BATCH):
            rows = range(first, min(first + BATCH, count))
            inputs = Inputs(
                samples=[(MEASURED_SEED, row) for row in rows],
                pictures=torch.stack([shards.frame(row, 0) for row in rows]),
                fps=[float(FPS)] * len(rows),
                motion_bucket=[bucket_of_motion(shards.records[row].motion) for row in rows],
                noise_level=[model.config.signals.noise_level] * len(rows),
            )
            made.append(sample_clips(model, inputs, sampling=sampling))
            advance(len(rows))
    return torch.cat(made)


def mean(values: list[float]) -> float:
    """Of some numbers."""
    return math.fsum(values) / len(values)
