"""Recipes made so small that 20 steps take a second, and what they start from and export."""

from collections.abc import Callable, Mapping
from pathlib import Path

from odd_pictures import noise
from PIL import Image
from tiny_model_folder import AUTOENCODER, IMAGE, TEXT, UNET
from torch import nn

from videoldm.measures.config import FeatureNetworkConfig
from videoldm.models.discriminator.config import DiscriminatorConfig
from videoldm.synthetic.vocabulary import LABELS
from videoldm.training.data.config import WorldData
from videoldm.training.optimizer import build_optimizer, learning_rate
from videoldm.training.recipe import Recipe
from videoldm.training.stages.autoencoder.config import AutoencoderStage
from videoldm.training.stages.diffusion.config import DiffusionStage, FromModel, Start
from videoldm.training.stages.distillation.config import DistillationStage
from videoldm.training.stages.dreambooth.config import DreamBoothStage, PriorPreservation, PromptedPictures
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.stages.judge.config import JudgeStage
from videoldm.training.stages.lora.config import LoraStage
from videoldm.training.stages.stage import Stage
from videoldm.training.stages.temporal_decoder.config import FeatureLoss, TemporalDecoderStage, VideoAdversary

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
        case LoraStage(data=WorldData(options=options)):
            data = {"data": DATA.model_copy(update={"options": options})}
            base = {"base": str(model), "num_validation_clips": 1}
            return stage.model_copy(update=BOTH | data | base)
        case DistillationStage():
            changes = {"teacher": str(model), "panned_pictures": None, "num_validation_clips": 1}
            return stage.model_copy(update=BOTH | changes)
        case DreamBoothStage():
            return _tiny_dreambooth(stage, folder, model)
        case TemporalDecoderStage():
            return _tiny_temporal_decoder(stage, folder, model)
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
        return start.model_copy(update={"model": _tiny_export(start.model, folder, model)})
    return start


def _tiny_export(place: str, folder: Path, model: Path) -> str:
    """What the tiny recipe of the same name exported, or the tiny model."""
    return str(folder / Path(place).parent.name / "export") if place.startswith("runs/") else str(model)


def _tiny_dreambooth(stage: DreamBoothStage, folder: Path, model: Path) -> DreamBoothStage:
    assert isinstance(stage.prior, PriorPreservation)
    subject = _tiny_pictures(stage.subject, folder / "subject", seed=0)
    prior = stage.prior.model_copy(update={"pictures": _tiny_pictures(stage.prior.pictures, folder / "class", seed=1)})
    return stage.model_copy(
        update={"base": _tiny_export(stage.base, folder, model), "subject": subject, "prior": prior}
    )


def _tiny_pictures(pictures: PromptedPictures, folder: Path, *, seed: int) -> PromptedPictures:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(3):
        Image.fromarray(noise(SIDE, SIDE, seed=10 * seed + index)).save(folder / f"{index}.png")
    return pictures.model_copy(update={"folder": str(folder)})


def _tiny_temporal_decoder(stage: TemporalDecoderStage, folder: Path, model: Path) -> TemporalDecoderStage:
    assert isinstance(stage.perceptual, FeatureLoss)
    assert isinstance(stage.adversary, VideoAdversary)
    judge = str(folder / "mini-judge/export")
    discriminator = DiscriminatorConfig(channels=(4, 8), norm_groups=4)
    adversary = {"model": discriminator, "starts_at_samples": BATCH * NUM_STEPS // 2}
    changes = {
        "autoencoder": str(model),
        "num_frames": NUM_FRAMES,
        "perceptual": stage.perceptual.model_copy(update={"judge": judge}),
        "adversary": stage.adversary.model_copy(update=adversary),
        "num_validation_clips": 1,
    }
    return stage.model_copy(update=BOTH | changes)


def train_tiny(recipe: Recipe, folder: Path) -> dict[str, list[float]]:
    """Train a tiny recipe by a plain loop, and export it into `folder` as its run would.

    Returns the losses by the recipe's name, and those of an adversary by RECIPE/PLAYER.
    """
    training = recipe.training
    objective = recipe.stage.objective(seed=training.seed, cache=folder / "cache")
    names = [recipe.name, *(f"{recipe.name}/{player.name}" for player in objective.players[1:])]
    players = dict(zip(names, objective.players, strict=True))
    optimizers = {
        name: build_optimizer(player.module.train(), player.optimizer or training.optimizer)
        for name, player in players.items()
    }
    losses: dict[str, list[float]] = {name: [] for name in names}
    for seen in range(0, training.num_samples, BATCH):
        for name, player in players.items():
            loss = player.losses(range(seen, seen + BATCH)).per_sample.mean()
            optimizers[name].zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(player.module.parameters(), training.gradient_clip)
            optimizers[name].param_groups[0]["lr"] = learning_rate(
                player.optimizer or training.optimizer,
                samples_seen=seen,
                batch_size=BATCH,
                num_samples=training.num_samples,
            )
            optimizers[name].step()
            losses[name].append(float(loss.detach()))
    objective.export(folder / recipe.name / "export")
    return losses


def train_all(recipes: Mapping[str, Callable[[], Recipe]], folder: Path, model: Path) -> dict[str, list[float]]:
    """The losses of tiny recipes, one recipe after the other, as later ones start from earlier ones."""
    losses: dict[str, list[float]] = {}
    for function in recipes.values():
        losses |= train_tiny(tiny(function(), folder, model), folder)
    return losses
