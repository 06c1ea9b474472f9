"""Where the numbers of a run go beside its own log: services that people already use, each only if asked for."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from videoldm.core.errors import InputError
from videoldm.training.config import TrackerName


def check_trackers(names: Sequence[TrackerName]) -> None:
    """Raises InputError for a service whose package is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"training.trackers has {name}, which is not installed: pip install {name}, or leave it out"
            )


class Tracker:
    """See `Watcher`: a service with the interface of wandb; a resumed run goes on in the record that it began."""

    def __init__(self, name: TrackerName, *, project: str, run: str, folder: Path, config: Mapping[str, Any]) -> None:
        module: Any = importlib.import_module(name)
        place = {"dir": str(folder), "id": run} if name == "wandb" else {}
        self._run: Any = module.init(project=project, name=run, config=dict(config), resume="allow", **place)

    def write(self, samples_seen: int, values: Mapping[str, float]) -> None:
        """See `Watcher`."""
        self._run.log(dict(values), step=samples_seen)

    def close(self) -> None:
        """See `Watcher`."""
        self._run.finish()
