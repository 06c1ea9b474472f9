"""Configuration of the video UNet."""

from typing import Annotated, Any, Literal, NamedTuple, Self, TypeVar

from pydantic import Field, PositiveFloat, PositiveInt, model_validator
from pydantic.types import NonNegativeInt

from videoldm.core.config import Config, OddInt

Place = Literal["down_with_attention", "down", "middle", "up", "out"]
T = TypeVar("T", bound=int)


class AttentionSizes(NamedTuple):
    """Sizes of the transformers of one level that other levels may have differently."""

    head_channels: int
    has_self_attention: bool


class UniformNormEps(Config):
    """One epsilon in the group norms of all residual blocks, as in the official code."""

    kind: Literal["uniform"] = "uniform"
    value: PositiveFloat = 1e-5

    def at(self, place: Place) -> float:
        """Return the same epsilon for every place."""
        del place
        return self.value


class PlacedNormEps(Config):
    """A smaller epsilon in down blocks with attention and in up blocks, as diffusers has it."""

    kind: Literal["placed"] = "placed"
    down_with_attention: PositiveFloat = 1e-6
    up: PositiveFloat = 1e-6
    elsewhere: PositiveFloat = 1e-5

    def at(self, place: Place) -> float:
        """Return the epsilon of the norms at a place."""
        if place == "down_with_attention":
            return self.down_with_attention
        return self.up if place == "up" else self.elsewhere


NormEps = Annotated[UniformNormEps | PlacedNormEps, Field(discriminator="kind")]


class NoTemporalLayers(Config):
    """No temporal layers: an image model, which sees every frame on its own."""

    kind: Literal["none"] = "none"


class TemporalLayers(Config):
    """A temporal convolution in every residual block and temporal attention in every transformer."""

    kind: Literal["layers"] = "layers"
    kernel: OddInt = 3
    frame_embedding_period: PositiveFloat = 10_000.0
    """Longest period, in frames over 2 pi, of the sinusoids that encode the index of a frame."""
    merge_init: float = 0.5
    """Initial value of the merge: the share of the spatial branch is its sigmoid."""


Temporal = Annotated[NoTemporalLayers | TemporalLayers, Field(discriminator="kind")]


class UNetConfig(Config):
    """Sizes of a video UNet; the defaults are Stable Video Diffusion's, without its image condition."""

    in_channels: PositiveInt = 4
    """Channels of the noisy latents."""
    concat_channels: NonNegativeInt = 0
    """Channels of the conditioning that is joined to the noisy latents."""
    reads_frame_mask: bool = False
    """Whether there is one more input channel, after all others: 1 in given frames, 0 elsewhere (SVD, D.5)."""
    out_channels: PositiveInt = 4
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (320, 640, 1280, 1280)
    """Width of each level, finest first; each but the last halves the latents."""
    num_res_blocks: PositiveInt = 2
    """Residual blocks of each down level; up levels have one more."""
    attention_levels: tuple[bool, ...] = (True, True, True, False)
    """Levels with transformers; the middle always has one."""
    head_channels: PositiveInt | tuple[PositiveInt, ...] = 64
    """Width of an attention head: the same everywhere, or one number a level; the middle has the last level's."""
    self_attention_levels: bool | tuple[bool, ...] = True
    """Whether the first attention of a spatial transformer layer is self-attention, everywhere or level by level; where
    it is not, it reads the context, as the second one does. The middle always has self-attention."""
    transformer_depth: PositiveInt = 1
    context_dim: PositiveInt = 1024
    vector_dim: PositiveInt | None = None
    """Size of the vector condition of each frame, None for a model without one."""
    num_noise_indices: PositiveInt | None = None
    """Number of noise levels of the joined conditioning, None for a model that is not conditioned on them."""
    norm_groups: PositiveInt = 32
    norm_eps: NormEps = UniformNormEps()
    temporal: Temporal = TemporalLayers()

    @property
    def num_input_channels(self) -> int:
        """Channels of the first convolution: noisy latents, joined conditioning, frame mask, in this order."""
        return self.in_channels + self.concat_channels + self.reads_frame_mask

    @property
    def embedding_dim(self) -> int:
        """Size of the joint embedding of noise level and vector condition."""
        return 4 * self.channels[0]

    @property
    def temporal_layers(self) -> TemporalLayers | None:
        """Configuration of the temporal layers, None for an image model."""
        return self.temporal if isinstance(self.temporal, TemporalLayers) else None

    def head_channels_at(self, level: int) -> int:
        """Return the width of a level's attention heads."""
        return _at(self.head_channels, level)

    @property
    def middle_attention(self) -> AttentionSizes:
        """Sizes of the transformer in the middle."""
        return AttentionSizes(self.head_channels_at(-1), has_self_attention=True)

    def attention_at(self, level: int) -> AttentionSizes | None:
        """Return the sizes of a level's transformers, None if it has none."""
        if not self.attention_levels[level]:
            return None
        return AttentionSizes(self.head_channels_at(level), _at(self.self_attention_levels, level))

    @model_validator(mode="before")
    @classmethod
    def _forget_checkpointing(cls, data: Any) -> Any:
        """Drop a key of older files that named how a training step is computed, which is not part of the network."""
        if isinstance(data, dict) and "gradient_checkpointing" in data:
            if data["gradient_checkpointing"] is True:
                raise ValueError("gradient_checkpointing is now training.execution.recompute=blocks")
            return {name: value for name, value in data.items() if name != "gradient_checkpointing"}
        return data

    @model_validator(mode="after")
    def _check_levels(self) -> Self:
        for name in ("attention_levels", "head_channels", "self_attention_levels"):
            value = getattr(self, name)
            if isinstance(value, tuple) and len(value) != len(self.channels):
                raise ValueError(f"{name} {value} must have one entry for each level of {self.channels}")
        return self

    @model_validator(mode="after")
    def _check_widths(self) -> Self:
        if any(width % self.norm_groups for width in self.channels):
            raise ValueError(f"channels {self.channels} must be multiples of norm_groups = {self.norm_groups}")
        sizes = [(width, self.attention_at(level)) for level, width in enumerate(self.channels)]
        sizes.append((self.channels[-1], self.middle_attention))
        if any(width % attention.head_channels for width, attention in sizes if attention is not None):
            raise ValueError(
                f"channels {self.channels} must be multiples of head_channels = {self.head_channels} where attention is"
            )
        return self


def _at(value: T | tuple[T, ...], level: int) -> T:
    return value[level] if isinstance(value, tuple) else value
