"""Where users want the camera of each frame; torch-free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BeforeValidator

from videoldm.core.config import Finite
from videoldm.core.errors import InputError
from videoldm.tasks.config import Elevation, TaskModelConfig


def _listed(value: object) -> object:
    """What is typed as "10,20,30" as a list, and a single number as a list of one."""
    if isinstance(value, str):
        return value.split(",")
    return [value] if isinstance(value, int | float) else value


Elevations = Annotated[tuple[Elevation, ...], BeforeValidator(_listed)]
Azimuths = Annotated[tuple[Finite, ...], BeforeValidator(_listed)]


def elevations_of(
    elevations: Sequence[float] | None, azimuths: Sequence[float] | None, config: TaskModelConfig, num_frames: int
) -> Sequence[float] | None:
    """The elevations that a model is told, its default if none are given; None for a model that is not told any.

    Raises InputError for angles that the model has no use for, and for another number of them than frames.
    """
    given = {"elevations_deg": elevations, "azimuths_deg": azimuths}
    counts = {"elevations_deg": (1, num_frames), "azimuths_deg": (num_frames,)}
    for name, angles in given.items():
        if angles is not None and config.camera is None:
            other = (
                "it turns once at the picture's own elevation" if config.task == "multi-view" else "it has no camera"
            )
            raise InputError(f"{name} are given, but this model is not told any, {other}; sv3d_p is told them")
        if angles is not None and len(angles) not in counts[name]:
            expected = " or ".join(dict.fromkeys(map(str, counts[name])))
            raise InputError(f"{name} has {len(angles)} values, it should have {expected}, one a frame")
    return elevations or (config.camera and (config.signals.elevation_deg,))
