"""A whole run: the recipe kept beside its results, what it needs found, its stage built, the loop run."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, assert_never

from videoldm.core import ranks
from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.core.files import check_writable, read_mapping, write_json, write_text
from videoldm.core.hashing import file_hash, files_hash
from videoldm.core.locks import alone_in
from videoldm.core.progress import silent
from videoldm.training.config import Sharded, TrainingConfig
from videoldm.training.data.config import CuratedData
from videoldm.training.layout import CHECKPOINTS, CONFIG_FILE, EXPORT, INPUTS_FILE, VALIDATION
from videoldm.training.recipe import Recipe
from videoldm.training.stages.config import (
    AutoencoderStage,
    DiffusionStage,
    EncodersStage,
    FromImageModel,
    FromModel,
    FromVideoModel,
    JudgeStage,
    Stage,
)
from videoldm.training.stages.places import judge_folder, local_path
from videoldm.training.stages.temporal_decoder_config import FeatureLoss, TemporalDecoderStage

if TYPE_CHECKING:
    from videoldm.training.objective import Objective

_OUTCOME = {"stage": True, "training": set(TrainingConfig.model_fields) - {"execution"}}
"""The parts of a recipe that decide what comes out; its name and summary, and how it is computed, do not."""


def run(recipe: Recipe, folder: Path, cache: Path, *, device: str = "cpu") -> Path:
    """Train by `recipe` in `folder`, or go on with the run that is there; returns the folder of the exported weights.

    Every process of the run calls it. Rendered clips and latents are kept in `cache`. Raises InputError if `folder`
    holds another run or something that the recipe reads is missing; FloatingPointError as the loop does.
    """
    device = ranks.device_of_rank(device)
    with ExitStack() as stack:
        # Shards are made by a library that wants a group even for one process.
        is_sharded = isinstance(recipe.training.execution.distributed, Sharded)
        stack.enter_context(ranks.joined(device, even_alone=is_sharded))
        if not ranks.is_first():
            stack.enter_context(silent())
        ranks.on_first(lambda: _begin(recipe, folder, cache, stack))

        from videoldm.training.loop import train

        objective = ranks.first_then_others(lambda: build_objective(recipe.stage, recipe.training.seed, cache, device))
        train(objective, recipe.training, folder, device=device)
    return folder / EXPORT


def _begin(recipe: Recipe, folder: Path, cache: Path, stack: ExitStack) -> None:
    """Check the run and keep others out of its folder, which is told what it is for."""
    check(recipe, folder, cache)
    # Two runs would overwrite each other's checkpoints.
    stack.enter_context(alone_in(folder, "another process trains there; wait for it, or give another folder with -o"))
    check_folder(recipe, folder)  # another process may have begun meanwhile
    if not has_begun(folder):
        shutil.rmtree(folder / VALIDATION, ignore_errors=True)
        write_json(folder / INPUTS_FILE, input_hashes(recipe.stage))
        write_text(folder / CONFIG_FILE, to_yaml(recipe))


def build_objective(stage: Stage, seed: int, cache: Path, device: str = "cpu") -> Objective:
    """The objective that a stage describes; renders and encodes its data if `cache` lacks them."""
    match stage:
        case AutoencoderStage():
            from videoldm.training.stages.autoencoder import AutoencoderObjective

            return AutoencoderObjective(stage, seed=seed, cache=cache, device=device)
        case EncodersStage():
            from videoldm.training.stages.encoders import EncodersObjective

            return EncodersObjective(stage, seed=seed, cache=cache, device=device)
        case JudgeStage():
            from videoldm.training.stages.judge import JudgeObjective

            return JudgeObjective(stage, seed=seed, cache=cache, device=device)
        case DiffusionStage():
            from videoldm.training.stages.diffusion import DiffusionObjective

            return DiffusionObjective(stage, seed=seed, cache=cache, device=device)
        case TemporalDecoderStage():
            from videoldm.training.stages.temporal_decoder import TemporalDecoderObjective

            return TemporalDecoderObjective(stage, seed=seed, cache=cache, device=device)
        case _:
            assert_never(stage)


def check(recipe: Recipe, folder: Path, cache: Path) -> None:
    """Find out before anything is rendered what would stop the run; raises InputError."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("training needs the extra 'train': run make install-dev, or pip install -e '.[train]'")
    _check_processes(recipe)
    check_folder(recipe, folder)
    for key, place in inputs_of(recipe.stage).items():
        if not place.exists():
            raise InputError(
                f"{key} is {str(place)!r}, there is no such folder: {_how_to_make(place)}, or give {key}=FOLDER"
            )
    for data in curated_inputs(recipe.stage).values():
        _fingerprint(data)
    check_inputs(recipe.stage, folder)
    check_writable(folder / CONFIG_FILE)
    check_writable(cache / CONFIG_FILE)


def _check_processes(recipe: Recipe) -> None:
    """Refuse a number of processes that cannot share a batch."""
    size, parts = recipe.training.batch_size, recipe.training.accumulation_steps * ranks.world_size()
    if size % parts:
        raise InputError(
            f"training.batch_size is {size}, should be a multiple of {parts}: training.accumulation_steps "
            f"({recipe.training.accumulation_steps}) x processes ({ranks.world_size()})"
        )
    if isinstance(recipe.stage, EncodersStage) and ranks.world_size() > 1:
        raise InputError(
            f"{recipe.name}: a contrastive loss compares the samples of a whole batch, there should be 1 process and "
            f"not {ranks.world_size()}"
        )


def has_begun(folder: Path) -> bool:
    """Whether a run has left anything in `folder` that another must not overwrite."""
    return any((folder / name).exists() for name in (CHECKPOINTS, EXPORT))


def check_folder(recipe: Recipe, folder: Path) -> None:
    """Refuse a folder with the run of another recipe, naming the keys that differ."""
    if not has_begun(folder):
        return
    path = folder / CONFIG_FILE
    if not path.exists():
        raise InputError(f"{folder}: holds a run but no {CONFIG_FILE} that tells of which recipe")
    there = from_yaml(Recipe, path.read_text(encoding="utf-8"), source=str(path))
    keys = list(_differences(recipe.model_dump(include=_OUTCOME), there.model_dump(include=_OUTCOME)))
    if keys:
        listed = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        raise InputError(
            f"{folder}: holds a run with other settings ({listed}), it should be the folder of a new run or of this "
            f"one: give another with -o"
        )


def check_inputs(stage: Stage, folder: Path) -> None:
    """Refuse to go on with a run whose inputs have changed since it began."""
    if not (has_begun(folder) and (folder / INPUTS_FILE).exists()):
        return
    began_with = read_mapping(folder / INPUTS_FILE)
    for key, content in input_hashes(stage).items():
        if began_with.get(key) != content:
            place = curated_inputs(stage)[key].folder if key in curated_inputs(stage) else inputs_of(stage)[key]
            raise InputError(
                f"{folder}: its run began with other files in {place} ({key}): bring them back, or start a new run "
                f"with -o"
            )


def input_hashes(stage: Stage) -> dict[str, str]:
    """What identifies the content of the folders and files that a stage reads."""
    hashes = {
        key: file_hash(place) if place.is_file() else files_hash(place, place.rglob("*"))
        for key, place in inputs_of(stage).items()
    }
    return hashes | {key: _fingerprint(data) for key, data in curated_inputs(stage).items()}


def curated_inputs(stage: Stage) -> dict[str, CuratedData]:
    """The curated clips that a stage reads, by the key that names each; they are told by their index alone."""
    if not isinstance(stage, DiffusionStage):
        return {}
    both = {"stage.data": stage.data, "stage.validation": stage.validation}
    return {key: data for key, data in both.items() if isinstance(data, CuratedData)}


def _fingerprint(data: CuratedData) -> str:
    """Changes with the clips that can be used; raises InputError if there are none for a bucket."""
    from videoldm.training.data.choose import choose_for_training

    return choose_for_training(data).source.fingerprint


def inputs_of(stage: Stage) -> dict[str, Path]:
    """What a stage reads on this machine, by the key that names each; what comes from the hub is not among it."""
    match stage:
        case AutoencoderStage(pictures=pictures):
            return {"stage.pictures": Path(pictures)} if pictures else {}
        case EncodersStage() | JudgeStage():
            return {}
        case DiffusionStage(autoencoder=autoencoder, encoders=encoders, start=start, panned_pictures=pictures):
            places = {"stage.autoencoder": local_path(autoencoder), "stage.encoders": local_path(encoders)}
            if pictures:
                places["stage.panned_pictures.folder"] = Path(pictures.folder)
            if isinstance(start, FromImageModel | FromVideoModel):
                places["stage.start.folder"] = Path(start.folder)
            if isinstance(start, FromModel):
                places["stage.start.model"] = local_path(start.model)
            return {key: place for key, place in places.items() if place is not None}
        case TemporalDecoderStage(autoencoder=autoencoder, perceptual=perceptual):
            places = {"stage.autoencoder": local_path(autoencoder)}
            if isinstance(perceptual, FeatureLoss):
                places["stage.perceptual.judge"] = judge_folder(perceptual.judge)
            return {key: place for key, place in places.items() if place is not None}
        case _:
            assert_never(stage)


def _how_to_make(place: Path) -> str:
    """Runs export into runs/RECIPE/export; what else a stage reads are pictures."""
    if place.name == EXPORT:
        return f"make it first with videoldm train {place.parent.name}"
    return f"make it first with python examples/collect_pictures.py {place}"


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys at which two nested dicts differ."""
    for key in {**ours, **theirs}:
        left, right = ours.get(key), theirs.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _differences(left, right, f"{prefix}{key}.")
        elif left != right:
            yield f"{prefix}{key}"
