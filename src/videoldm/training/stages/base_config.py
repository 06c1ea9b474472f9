"""Which finished model a stage starts from; torch-free."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from videoldm.core.config import Config
from videoldm.training.stages.places import local_path


class NamedModel(Config):
    """A model as `videoldm generate --model` takes it: in the package, a folder, a file or a name on the hub."""

    kind: Literal["named"] = "named"
    name: str = "mini"

    def folders(self) -> dict[str, Path]:
        """Where it lies, by key; nothing if that is the hub."""
        place = local_path(self.name)
        return {} if place is None or place.is_file() else {"name": place}


class ExportedRun(Config):
    """What a training run has exported, with the parts that it worked with."""

    kind: Literal["run"] = "run"
    folder: str
    autoencoder: str
    encoders: str

    def folders(self) -> dict[str, Path]:
        """Where its parts lie, by key."""
        return {name: Path(getattr(self, name)) for name in ("folder", "autoencoder", "encoders")}


Base = Annotated[NamedModel | ExportedRun, Field(discriminator="kind")]
