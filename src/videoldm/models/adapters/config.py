"""Presets of LoRA training: which layers of a UNet are adapted, and at which rank; torch-free."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from videoldm.core.config import Config, Positive


class TemporalAttentionLora(Config):
    """The projections of temporal attention: a LoRA of how things move, not of what they look like (SVD, D.4)."""

    kind: Literal["temporal-attention"] = "temporal-attention"
    rank: PositiveInt = 16
    alpha: Positive = 16.0
    """The update is multiplied by alpha / rank."""


class TemporalLayersLora(Config):
    """All temporal layers, with their feed-forward networks and convolutions: more parameters for motion."""

    kind: Literal["temporal-layers"] = "temporal-layers"
    rank: PositiveInt = 16
    alpha: Positive = 16.0
    """The update is multiplied by alpha / rank."""


class SpatialAttentionLora(Config):
    """The projections of spatial attention: a LoRA of a style or a subject, which moves as before."""

    kind: Literal["spatial-attention"] = "spatial-attention"
    rank: PositiveInt = 16
    alpha: Positive = 16.0
    """The update is multiplied by alpha / rank."""


class AllLayersLora(Config):
    """All layers, spatial and temporal: a LoRA of how the model denoises, such as in fewer steps."""

    kind: Literal["all-layers"] = "all-layers"
    rank: PositiveInt = 64
    alpha: Positive = 64.0
    """The update is multiplied by alpha / rank."""


LoraPreset = Annotated[
    TemporalAttentionLora | TemporalLayersLora | SpatialAttentionLora | AllLayersLora, Field(discriminator="kind")
]
