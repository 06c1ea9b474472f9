"""Configuration of the autoencoder."""

from typing import Annotated, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from videoldm.core.config import Config, OddInt


class PlainDecoder(Config):
    """Every frame is decoded on its own."""

    kind: Literal["plain"] = "plain"


class TemporalDecoder(Config):
    """The frames of a clip are decoded together, which removes flicker (SVD's decoder)."""

    kind: Literal["temporal"] = "temporal"
    kernel: OddInt = 3
    norm_eps: PositiveFloat = 1e-5
    merge_init: float = 0.0


DecoderKind = Annotated[PlainDecoder | TemporalDecoder, Field(discriminator="kind")]


class AutoencoderConfig(Config):
    """Sizes of an autoencoder; the defaults are Stable Diffusion's, which halves the picture three times."""

    pixel_channels: PositiveInt = 3
    patch_size: PositiveInt = 1
    """Squares of this side become channels before the encoder and unfold after the decoder (1 in Stable Diffusion)."""
    latent_channels: PositiveInt = 4
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (128, 256, 512, 512)
    """Width of each level, finest first; each but the last halves the picture."""
    num_res_blocks: PositiveInt = 2
    """Residual blocks of each encoder level; decoder levels have one more."""
    norm_groups: PositiveInt = 32
    norm_eps: PositiveFloat = 1e-6
    project_moments: bool = True
    """Whether a 1 x 1 convolution follows the encoder ("quant_conv")."""
    project_latents: bool = True
    """Whether a 1 x 1 convolution precedes the decoder ("post_quant_conv")."""
    decoder: DecoderKind = PlainDecoder()
    scaling_factor: PositiveFloat = 0.18215
    """Model latents are raw latents times this."""

    @property
    def factor(self) -> int:
        """Factor by which latents are smaller than pixels along each axis of space."""
        return self.patch_size * 2 ** (len(self.channels) - 1)

    @property
    def patch_channels(self) -> int:
        """Number of channels of a patch, which the convolutions see as one pixel."""
        return self.pixel_channels * self.patch_size**2

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if any(width % self.norm_groups for width in self.channels):
            raise ValueError(f"channels {self.channels} must be multiples of norm_groups = {self.norm_groups}")
        return self
