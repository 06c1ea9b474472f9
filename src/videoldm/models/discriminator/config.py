"""Configuration of the discriminator; torch-free."""

from typing import Annotated, Self

from pydantic import Field, PositiveInt, model_validator

from videoldm.core.config import Config, OddInt


class DiscriminatorConfig(Config):
    """Sizes of the discriminator; widths and strides are those of the image PatchGAN of latent diffusion.

    The papers say only that it is patch-wise and of 3-D convolutions (Video LDM, section 3.1.1).
    """

    pixel_channels: PositiveInt = 3
    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (64, 128, 256, 512)
    """Width of each level; each but the last halves height and width, none the number of frames."""
    kernel_frames: OddInt = 3
    """Number of frames that each convolution sees; at the ends of a clip the end frames repeat."""
    norm_groups: PositiveInt = 32

    @property
    def smallest_side_px(self) -> int:
        """Smallest side of a frame that holds a whole patch."""
        return 3 * 2 ** (len(self.channels) - 1)

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        if any(width % self.norm_groups for width in self.channels[1:]):
            raise ValueError(f"channels {self.channels} must be multiples of norm_groups = {self.norm_groups}")
        return self
