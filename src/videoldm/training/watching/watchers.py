"""Who watches a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from videoldm.training.log import Watcher
from videoldm.training.recipe import Recipe
from videoldm.training.watching.page import write_page
from videoldm.training.watching.trackers import Tracker

PROJECT = "videoldm"


def watchers_of(recipe: Recipe, folder: Path) -> list[Watcher]:
    """The page of the run in `folder`, and the services that its recipe names, which know it by the folder's name."""
    config = recipe.model_dump(mode="json")
    services = [
        Tracker(name, project=PROJECT, run=folder.resolve().name, folder=folder, config=config)
        for name in recipe.training.trackers
    ]
    return [PageWriter(folder, recipe), *services]


class PageWriter:
    """See `Watcher`: writes the run's page anew after each validation and at the end."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self._folder, self._recipe = folder, recipe

    def write(self, samples_seen: int, values: Mapping[str, float]) -> None:
        """See `Watcher`."""
        del samples_seen
        if any(name.startswith("validation/") for name in values):
            write_page(self._folder, self._recipe)

    def close(self) -> None:
        """See `Watcher`."""
        write_page(self._folder, self._recipe)
