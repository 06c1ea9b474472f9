"""A whole run: the recipe kept beside its results, its inputs checked, its stage built, the loop run."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from pathlib import Path

from videoldm.core import ranks
from videoldm.core.errors import InputError
from videoldm.core.files import atomic_folder, check_writable, folder_lock
from videoldm.core.memory import keep_freed_memory
from videoldm.core.progress import notice, silent
from videoldm.training.config import Sharded
from videoldm.training.folder import CONFIG_FILE, EXPORT, begin, check_folder, check_unchanged, is_finished
from videoldm.training.recipe import Recipe
from videoldm.training.watching.model_card import write_model_card
from videoldm.training.watching.watchers import check_trackers, watchers_of

_BUSY = "another process trains there; wait for it, or give another folder with -o"


def run(recipe: Recipe, folder: Path, cache: Path, *, device: str = "cpu") -> Path:
    """Train by `recipe` in `folder`, or resume the run that is there; return the folder of the exported weights.

    A finished run stays as it is. Every process of the run calls this. Rendered clips and latents are kept in `cache`.
    Raises InputError if `folder` holds another run or something that the recipe reads is missing; FloatingPointError as
    the loop does.
    """
    device = ranks.device_of_rank(device)
    keep_freed_memory()
    with ExitStack() as stack:
        # Sharding needs a process group even for one process.
        is_sharded = isinstance(recipe.training.execution.distributed, Sharded)
        stack.enter_context(ranks.process_group(device, even_alone=is_sharded))
        if not ranks.is_first():
            stack.enter_context(silent())
        if ranks.on_first(lambda: is_finished(recipe, folder)):
            notice(f"{folder}: this run is finished; delete {folder / EXPORT} to have its weights written again")
            return folder / EXPORT
        ranks.on_first(lambda: _begin(recipe, folder, cache, stack))

        from videoldm.training.loop import train

        seed = recipe.training.seed
        objective = ranks.first_then_others(lambda: recipe.stage.objective(seed=seed, cache=cache, device=device))
        watchers = watchers_of(recipe, folder) if ranks.is_first() else ()
        train(objective, recipe.training, folder, device=device, watchers=watchers)
        ranks.on_first(lambda: write_model_card(folder, folder / EXPORT, recipe))
    return folder / EXPORT


def _begin(recipe: Recipe, folder: Path, cache: Path, stack: ExitStack) -> None:
    """Check the run, keep other processes out of its folder and write the recipe there."""
    check(recipe, folder, cache)
    # Two runs would overwrite each other's checkpoints.
    stack.enter_context(folder_lock(folder, _BUSY))
    begin(recipe, folder)


def export_average(recipe: Recipe, folder: Path, cache: Path, length: float, *, device: str = "cpu") -> Path:
    """Export the average of that length, a share of the whole training, of a run that kept snapshots.

    Returns the folder of the export. Raises InputError if `folder` holds no such run.
    """
    from videoldm.training.averages import averaged_over

    check_folder(recipe, folder)
    check_unchanged(recipe.stage, folder)
    weights, target = averaged_over(folder, length), folder / f"{EXPORT}-{length:g}"
    with folder_lock(folder, _BUSY):
        objective = recipe.stage.objective(seed=recipe.training.seed, cache=cache, device=device)
        # What is not trained is as it was when the run began.
        unexpected = objective.players[0].module.load_state_dict(weights, strict=False).unexpected_keys
        assert not unexpected, unexpected
        objective.measure()
        with atomic_folder(target, replace=True) as export:
            objective.export(export)
            write_model_card(folder, export, recipe)
    return target


def check(recipe: Recipe, folder: Path, cache: Path) -> None:
    """Raise InputError for what would stop the run, before anything is rendered."""
    if importlib.util.find_spec("tensorboard") is None:
        raise InputError("training needs the extra 'train': run make install-dev, or pip install -e '.[train]'")
    _check_processes(recipe)
    check_folder(recipe, folder)
    check_trackers(recipe.training.trackers)
    for one in recipe.stage.inputs():
        one.check()
    check_unchanged(recipe.stage, folder)
    check_writable(folder / CONFIG_FILE)
    check_writable(cache / CONFIG_FILE)


def _check_processes(recipe: Recipe) -> None:
    """Raise InputError for a number of processes that cannot share a batch."""
    parts = recipe.training.accumulation_steps * ranks.world_size()
    for key, size in recipe.batch_sizes():
        if size % parts:
            raise InputError(
                f"{key} is {size}, should be a multiple of {parts}: training.accumulation_steps "
                f"({recipe.training.accumulation_steps}) x processes ({ranks.world_size()})"
            )
    recipe.stage.check_processes(ranks.world_size())
