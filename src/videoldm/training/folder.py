"""The folder of a run: what lies in it, which recipe's run it holds, and what that run has read.

Torch-free.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.errors import InputError
from videoldm.core.files import write_json, write_text
from videoldm.core.reading import read_mapping
from videoldm.training.config import TrainingConfig

if TYPE_CHECKING:
    from videoldm.training.recipe import Recipe
    from videoldm.training.stages.stage import Stage

CONFIG_FILE = "config.yaml"
"""The whole recipe."""
INPUTS_FILE = "inputs.json"
"""Content hashes of what the recipe reads."""
LOG_FILE = "log.jsonl"
VALIDATION = "validation"
CHECKPOINTS = "checkpoints"
SNAPSHOTS = "averages"
"""Snapshots of power-function averages."""
DIVERGED = "diverged-{}.json"
"""A batch whose gradient was not finite, named by the samples seen."""
EXPORT = "export"
"""The averaged weights, for later stages and for sampling."""
PAGE_FILE = "index.html"
"""Curves and validation clips, for a browser."""
CARD_FILE = "README.md"
"""In the export: the model card, which is written last."""

_OUTCOME = {"stage": True, "training": set(TrainingConfig.model_fields) - {"execution", "trackers"}}
"""Parts of a recipe that decide on the result; its name and summary, how it is computed and watched do not."""


def begin(recipe: Recipe, folder: Path) -> None:
    """Make `folder` that of the recipe's run, unless that run has begun there already."""
    check_folder(recipe, folder)
    if not _has_begun(folder):
        _clear(folder)
        write_json(folder / INPUTS_FILE, {one.key: one.content_hash() for one in recipe.stage.inputs()})
        write_text(folder / CONFIG_FILE, to_yaml(recipe))


def is_finished(recipe: Recipe, folder: Path) -> bool:
    """Whether the recipe's run there has come to its end; raises InputError if another recipe's run is there."""
    check_folder(recipe, folder)
    return (folder / EXPORT / CARD_FILE).exists()


def check_folder(recipe: Recipe, folder: Path) -> None:
    """Raise InputError for a folder with the run of another recipe, naming the keys that differ."""
    if not _has_begun(folder):
        return
    path = folder / CONFIG_FILE
    if not path.exists():
        raise InputError(f"{folder}: holds a run, but no {CONFIG_FILE} that says which recipe it is of")
    there = from_yaml(type(recipe), path.read_text(encoding="utf-8"), source=str(path))
    keys = list(_differences(recipe.model_dump(include=_OUTCOME), there.model_dump(include=_OUTCOME)))
    if keys:
        listed = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        raise InputError(
            f"{folder}: holds a run with other settings ({listed}), it should be the folder of a new run or of this "
            f"one: give another with -o"
        )


def check_unchanged(stage: Stage, folder: Path) -> None:
    """Raise InputError if what the stage reads has changed since the run in `folder` began."""
    if not _has_begun(folder) or not (folder / INPUTS_FILE).exists():
        return
    began_with = read_mapping(folder / INPUTS_FILE)
    for one in stage.inputs():
        if began_with.get(one.key) != one.content_hash():
            raise InputError(
                f"{folder}: its run began with other files in {one.place} ({one.key}): bring them back, or start a new "
                f"run with -o"
            )


def _has_begun(folder: Path) -> bool:
    """Whether a run has left anything in `folder` that another must not overwrite."""
    return any((folder / name).exists() for name in (CHECKPOINTS, EXPORT))


def _clear(folder: Path) -> None:
    """Remove what a run left that ended before its first checkpoint."""
    for name in (VALIDATION, SNAPSHOTS):
        shutil.rmtree(folder / name, ignore_errors=True)
    for path in folder.glob(DIVERGED.format("*")):
        path.unlink()


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the dotted keys at which two nested dicts differ."""
    for key in {**ours, **theirs}:
        left, right = ours.get(key), theirs.get(key)
        if isinstance(left, dict) and isinstance(right, dict):
            yield from _differences(left, right, f"{prefix}{key}.")
        elif left != right:
            yield f"{prefix}{key}"
