"""The configurations of training clips; torch-free."""

from fractions import Fraction
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, model_validator

from videoldm.core.config import Config
from videoldm.synthetic.config import WorldOptions
from videoldm.synthetic.vocabulary import CameraMotion
from videoldm.training.data.config import CuratedData, Measured, Signals

CLIPS_PER_SHARD = 64

Rate = Annotated[Fraction, Field(gt=0)]


class WorldData(Config):
    """Clips of the synthetic world. Rates cycle from shard to shard, so that the fps condition means something."""

    kind: Literal["world"] = "world"
    seed: int = 0
    split: Literal["train", "validation", "test"] = "train"
    num_clips: Annotated[int, Field(ge=CLIPS_PER_SHARD, multiple_of=CLIPS_PER_SHARD)]
    num_frames: Annotated[int, Field(ge=2)] = 14
    height: PositiveInt = 64
    width: PositiveInt = 64
    rates: Annotated[tuple[Rate, ...], Field(min_length=1)] = tuple(map(Fraction, (7, 6, 8, 7, 5, 10)))
    options: WorldOptions = WorldOptions()
    cameras: tuple[CameraMotion, ...] = ()
    """Which of the clips are taken: those whose camera moves in one of these ways, or all if none is named."""
    signals: Signals = Measured()
    """What a model is told of rate and motion: those of the rendered clip, or the same for all."""

    @model_validator(mode="after")
    def _needs_no_pictures(self) -> Self:
        if self.options.grounds.get("photo"):
            raise ValueError("options.grounds holds photo, but training renders without pictures: give it no weight")
        return self


class PannedPictures(Config):
    """Clips of a camera that pans and zooms over the pictures of a folder; they have no captions."""

    folder: str
    num_clips: Annotated[int, Field(ge=CLIPS_PER_SHARD, multiple_of=CLIPS_PER_SHARD)]


def _world_unless_named(data: Any) -> Any:
    """Recipes of before there was a choice name no kind."""
    return {"kind": "world", **data} if isinstance(data, dict) else data


Data = Annotated[
    Annotated[WorldData | CuratedData, Field(discriminator="kind")],
    BeforeValidator(_world_unless_named),
]
"""Rendered here, or curated from videos."""


def check_held_out(data: Data, validation: Data) -> None:
    """Raise ValueError if videos are held out in one folder for the clips of another."""
    if not isinstance(data, CuratedData) or not isinstance(validation, CuratedData):
        return
    if data.videos.kind == "others" and validation.videos.kind == "held-out" and data.folder != validation.folder:
        raise ValueError(
            f"data.folder is {data.folder!r}, validation.folder {validation.folder!r}: where data are the videos that "
            f"validation does not hold out, both should be the same"
        )
