"""Watchers of a run: its page, and services that people already use, each only if the recipe names it."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError
from videoldm.training.config import TrackerName
from videoldm.training.log import Watcher
from videoldm.training.recipe import Recipe
from videoldm.training.watching.page import write_page

PROJECT = "videoldm"


def watchers_of(recipe: Recipe, folder: Path) -> list[Watcher]:
    """Return the writer of the page in `folder`, and the services, which know the run by the folder's name."""
    config = recipe.model_dump(mode="json")
    services = [
        Tracker(name, project=PROJECT, run=folder.resolve().name, folder=folder, config=config)
        for name in recipe.training.trackers
    ]
    return [PageWriter(folder, recipe), *services]


class PageWriter:
    """Writes the run's page again after each validation and at the end."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self._folder, self._recipe = folder, recipe

    def write(self, samples_seen: int, values: Mapping[str, float]) -> None:
        """Write the page if the record is of a validation."""
        del samples_seen
        if any(name.startswith("validation/") for name in values):
            write_page(self._folder, self._recipe)

    def close(self) -> None:
        """Write the page."""
        write_page(self._folder, self._recipe)


def check_trackers(names: Sequence[TrackerName]) -> None:
    """Raise InputError for a service whose package is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"training.trackers has {name}, which is not installed: pip install {name}, or leave it out"
            )


class Tracker:
    """A service with the interface of wandb; a resumed run continues the record that it began."""

    def __init__(self, name: TrackerName, *, project: str, run: str, folder: Path, config: Mapping[str, Any]) -> None:
        module: Any = importlib.import_module(name)
        place = {"dir": str(folder), "id": run} if name == "wandb" else {}
        self._run: Any = module.init(project=project, name=run, config=dict(config), resume="allow", **place)

    def write(self, samples_seen: int, values: Mapping[str, float]) -> None:
        """Send one record."""
        self._run.log(dict(values), step=samples_seen)

    def close(self) -> None:
        """Finish the record."""
        self._run.finish()
