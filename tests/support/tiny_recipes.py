"""Recipes made so small that 20 steps take a second, and what they start from and export."""

from collections.abc import Callable, Mapping
from pathlib import Path

from tiny_model_folder import AUTOENCODER, IMAGE, TEXT, UNET
from torch import nn

from videoldm.measures.features.config import FeatureNetworkConfig
from videoldm.synthetic.vocabulary import LABELS
from videoldm.training.optimizer import build_optimizer, learning_rate
from videoldm.training.recipe import Recipe
from videoldm.training.stages.build import build_objective
from videoldm.training.stages.config import (
    AutoencoderStage,
    DiffusionStage,
    EncodersStage,
    FromImageModel,
    FromModel,
    FromVideoModel,
    JudgeStage,
    Stage,
    Start,
    WorldData,
)

NUM_FRAMES, SIDE, BATCH, NUM_STEPS = 3, 16, 2, 20
DATA = WorldData(num_clips=64, num_frames=NUM_FRAMES, height=SIDE, width=SIDE)
BOTH = {"data": DATA, "validation": DATA.model_copy(update={"split": "validation"})}


def tiny(recipe: Recipe, folder: Path, model: Path) -> Recipe:
    """The recipe with tiny networks and data; starts from what other tiny recipes exported into `folder`.

    `model` is the tiny model whose autoencoder and encoders are used.
    """
    training = recipe.training
    optimizer = training.optimizer.model_copy(update={"warmup_samples": 2 * BATCH})
    changes = {"num_samples": BATCH * NUM_STEPS, "batch_size": BATCH, "optimizer": optimizer, "precision": "float32"}
    return recipe.model_copy(
        update={"stage": _tiny_stage(recipe.stage, folder, model), "training": training.model_copy(update=changes)}
    )


def _tiny_stage(stage: Stage, folder: Path, model: Path) -> Stage:
    match stage:
        case AutoencoderStage():
            return stage.model_copy(update=BOTH | {"model": AUTOENCODER, "pictures": "", "picture_fraction": 0.0})
        case EncodersStage():
            return stage.model_copy(update=BOTH | {"text": TEXT, "image": IMAGE})
        case JudgeStage():
            network = FeatureNetworkConfig(heads=LABELS, frame_px=SIDE, widths=(8,))
            return stage.model_copy(update=BOTH | {"model": network})
        case DiffusionStage():
            return _tiny_diffusion(stage, folder, model)
        case _:
            raise ValueError(f"there is no tiny {stage.kind} stage")


def _tiny_diffusion(stage: DiffusionStage, folder: Path, model: Path) -> DiffusionStage:
    micro = stage.model.micro.model_copy(update={"embedding_dim": 8})
    unet = {
        "temporal": stage.unet.temporal,
        "concat_channels": UNET.in_channels if stage.unet.concat_channels else 0,
        "vector_dim": None if stage.unet.vector_dim is None else micro.vector_dim,
    }
    task = {"num_frames": min(stage.model.num_frames, NUM_FRAMES), "height": SIDE, "width": SIDE, "micro": micro}
    changes = {
        "unet": UNET.model_copy(update=unet),
        "start": _tiny_start(stage.start, folder, model),
        "autoencoder": str(model),
        "encoders": str(model),
        "panned_pictures": None,
        "model": stage.model.model_copy(update=task),
        "num_validation_clips": 1,
    }
    return DiffusionStage.model_validate(stage.model_copy(update=BOTH | changes).model_dump())


def _tiny_start(start: Start, folder: Path, model: Path) -> Start:
    if isinstance(start, FromModel):
        return start.model_copy(update={"model": str(model)})
    if isinstance(start, FromImageModel | FromVideoModel):
        return start.model_copy(update={"folder": str(folder / Path(start.folder).parent.name / "export")})
    return start


def train_tiny(recipe: Recipe, folder: Path) -> list[float]:
    """Train a tiny recipe by a plain loop, export it into `folder` as its run would, and return the losses."""
    training, losses = recipe.training, []
    objective = build_objective(recipe.stage, training.seed, folder / "cache")
    player = objective.players[0]
    module = player.module.train()
    optimizer = build_optimizer(module, training.optimizer)
    for seen in range(0, training.num_samples, BATCH):
        loss = player.losses(range(seen, seen + BATCH)).per_sample.mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), training.gradient_clip)
        rate = learning_rate(training.optimizer, samples_seen=seen, batch_size=BATCH, num_samples=training.num_samples)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        losses.append(float(loss.detach()))
    objective.export(folder / recipe.name / "export")
    return losses


def train_all(recipes: Mapping[str, Callable[[], Recipe]], folder: Path, model: Path) -> dict[str, list[float]]:
    """The losses of tiny recipes, one recipe after the other, as later ones start from earlier ones."""
    return {name: train_tiny(tiny(function(), folder, model), folder) for name, function in recipes.items()}
