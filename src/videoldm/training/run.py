"""A whole run: the recipe kept beside its results, what it needs found, its stage built, the loop run."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from videoldm.core import ranks
from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder, check_writable, folder_lock, write_json, write_text
from videoldm.core.progress import notice, silent
from videoldm.training.config import Sharded, TrainingConfig
from videoldm.training.folder import (
    CARD_FILE,
    CHECKPOINTS,
    CONFIG_FILE,
    DIVERGED,
    EXPORT,
    INPUTS_FILE,
    SNAPSHOTS,
    VALIDATION,
)
from videoldm.training.inputs import check_inputs, check_unchanged, curated_inputs, input_hashes
from videoldm.training.recipe import Recipe
from videoldm.training.stages.build import build_objective
from videoldm.training.stages.encoders.config import EncodersStage
from videoldm.training.watching.model_card import write_model_card
from videoldm.training.watching.watchers import check_trackers, watchers_of

_OUTCOME = {"stage": True, "training": set(TrainingConfig.model_fields) - {"execution", "trackers"}}
"""The parts of a recipe that decide what comes out; its name and summary, how it is computed and watched, do not."""
_BUSY = "another process trains there; wait for it, or give another folder with -o"


def run(recipe: Recipe, folder: Path, cache: Path, *, device: str = "cpu") -> Path:
    """Train by `recipe` in `folder`, or go on with the run that is there; returns the folder of the exported weights.

    A run that is finished stays as it is. Every process of the run calls this. Rendered clips and latents are kept in
    `cache`. Raises InputError if `folder` holds another run or something that the recipe reads is missing;
    FloatingPointError as the loop does.
    """
    device = ranks.device_of_rank(device)
    with ExitStack() as stack:
        # Shards are made by a library that wants a group even for one process.
        is_sharded = isinstance(recipe.training.execution.distributed, Sharded)
        stack.enter_context(ranks.process_group(device, even_alone=is_sharded))
        if not ranks.is_first():
            stack.enter_context(silent())
        if ranks.on_first(lambda: is_finished(recipe, folder)):
            notice(f"{folder}: this run is finished; delete {folder / EXPORT} to have its weights written anew")
            return folder / EXPORT
        ranks.on_first(lambda: _begin(recipe, folder, cache, stack))

        from videoldm.training.loop import train

        objective = ranks.first_then_others(lambda: build_objective(recipe.stage, recipe.training.seed, cache, device))
        watchers = watchers_of(recipe, folder) if ranks.is_first() else ()
        train(objective, recipe.training, folder, device=device, watchers=watchers)
        ranks.on_first(lambda: write_model_card(folder, folder / EXPORT, recipe))
    return folder / EXPORT


def _begin(recipe: Recipe, folder: Path, cache: Path, stack: ExitStack) -> None:
    """Check the run and keep others out of its folder, which is told what it is for."""
    check(recipe, folder, cache)
    # Two runs would overwrite each other's checkpoints.
    stack.enter_context(folder_lock(folder, _BUSY))
    check_folder(recipe, folder)  # another process may have begun meanwhile
    if not has_begun(folder):
        _clear(folder)
        write_json(folder / INPUTS_FILE, input_hashes(recipe.stage))
        write_text(folder / CONFIG_FILE, to_yaml(recipe))


def export_average(recipe: Recipe, folder: Path, cache: Path, length: float, *, device: str = "cpu") -> Path:
    """Export the average of that length, a share of the whole training, of a run that kept snapshots.

    Returns the folder. Raises InputError if `folder` holds no such run.
    """
    from videoldm.training.averages import averaged_over

    check_folder(recipe, folder)
    check_unchanged(recipe.stage, folder)
    weights, target = averaged_over(folder, length), folder / f"{EXPORT}-{length:g}"
    with folder_lock(folder, _BUSY):
        objective = build_objective(recipe.stage, recipe.training.seed, cache, device)
        # What is not trained is as it was when the run began.
        unexpected = objective.players[0].module.load_state_dict(weights, strict=False).unexpected_keys
        assert not unexpected, unexpected
        with atomic_folder(target, replace=True) as export:
            objective.export(export)
            write_model_card(folder, export, recipe)
    return target


def _clear(folder: Path) -> None:
    """Remove what a run left that ended before its first checkpoint."""
    for name in (VALIDATION, SNAPSHOTS):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in folder.glob(DIVERGED.format("*")):
        path.unlink()


def check(recipe: Recipe, folder: Path, cache: Path) -> None:
    """Find out before anything is rendered what would stop the run; raises InputError."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("training needs the extra 'train': run make install-dev, or pip install -e '.[train]'")
    _check_processes(recipe)
    check_folder(recipe, folder)
    check_trackers(recipe.training.trackers)
    check_inputs(recipe.stage)
    if has_begun(folder):
        check_unchanged(recipe.stage, folder)
    check_writable(folder / CONFIG_FILE)
    check_writable(cache / CONFIG_FILE)


def _check_processes(recipe: Recipe) -> None:
    """Refuse a number of processes that cannot share a batch."""
    parts = recipe.training.accumulation_steps * ranks.world_size()
    for key, size in batch_sizes(recipe):
        if size % parts:
            raise InputError(
                f"{key} is {size}, should be a multiple of {parts}: training.accumulation_steps "
                f"({recipe.training.accumulation_steps}) x processes ({ranks.world_size()})"
            )
    if isinstance(recipe.stage, EncodersStage) and ranks.world_size() > 1:
        raise InputError(
            f"{recipe.name}: a contrastive loss compares the samples of a whole batch, there should be 1 process and "
            f"not {ranks.world_size()}"
        )


def batch_sizes(recipe: Recipe) -> list[tuple[str, int]]:
    """How large batches are, with the key of each: one size, or that of each bucket of curated clips."""
    curated = curated_inputs(recipe.stage).get("stage.data")
    if curated is None:
        return [("training.batch_size", recipe.training.batch_size)]
    return [(f"stage.data.buckets.{i}.batch_size", one.batch_size) for i, one in enumerate(curated.buckets)]


def has_begun(folder: Path) -> bool:
    """Whether a run has left anything in `folder` that another must not overwrite."""
    return any((folder / name).exists() for name in (CHECKPOINTS, EXPORT))


def is_finished(recipe: Recipe, folder: Path) -> bool:
    """Whether the recipe's run there has come to its end; raises InputError if another recipe's run is there."""
    check_folder(recipe, folder)
    # The card is written last.
    return (folder / EXPORT / CARD_FILE).exists()


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


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """The dotted keys at which two nested dicts differ."""
    for key in {**ours, **theirs}:
        left, right = ours.get(key), theirs.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _differences(left, right, f"{prefix}{key}.")
        elif left != right:
            yield f"{prefix}{key}"
