"""Which layers of a UNet a LoRA changes; torch-free."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from videoldm.core.config import Config, Positive


class TemporalAttention(Config):
    """The projections of attention along time: how things move, not what they look like (SVD, D.4)."""

    kind: Literal["temporal-attention"] = "temporal-attention"
    rank: PositiveInt = 16
    alpha: Positive = 16.0
    """The update counts alpha / rank times."""


class TemporalLayers(Config):
    """All that runs along time, its feed-forward networks and convolutions too: more to learn motion with."""

    kind: Literal["temporal-layers"] = "temporal-layers"
    rank: PositiveInt = 16
    alpha: Positive = 16.0
    """The update counts alpha / rank times."""


class SpatialAttention(Config):
    """The projections of attention within each frame: a style or a subject, which moves as before."""

    kind: Literal["spatial-attention"] = "spatial-attention"
    rank: PositiveInt = 16
    alpha: Positive = 16.0
    """The update counts alpha / rank times."""


LoraPreset = Annotated[TemporalAttention | TemporalLayers | SpatialAttention, Field(discriminator="kind")]
