"""The encoder: pixels to the moments of their latents, frame by frame."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.models.autoencoder.blocks import PixelAttention, spatial_block
from videoldm.models.autoencoder.config import AutoencoderConfig
from videoldm.models.layers.convolution import Downsample, SpatialConv
from videoldm.models.layers.resnet import ResBlock

FRESH_LOG_VARIANCE = -4.0


class EncoderLevel(nn.Module):
    """Residual blocks at one size, then a downsampling unless it is the coarsest level."""

    def __init__(self, blocks: list[ResBlock], downsample: Downsample | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    def forward(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c2 h2 w2"]:
        """Apply the level."""
        for block in self.blocks:
            frames = block(frames)
        return frames if self.downsample is None else self.downsample(frames)


class EncoderMiddle(nn.Module):
    """Two residual blocks around attention."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        width = config.channels[-1]
        self.block1 = spatial_block(config, width, width)
        self.attention = PixelAttention(width, norm_groups=config.norm_groups, norm_eps=config.norm_eps)
        self.block2 = spatial_block(config, width, width)

    def forward(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Apply the three layers."""
        return self.block2(self.attention(self.block1(frames)))


class Encoder(nn.Module):
    """Stable Diffusion's encoder."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        moments = 2 * config.latent_channels
        self.conv_in = SpatialConv(config.patch_channels, config.channels[0])
        self.down = nn.ModuleList(_levels(config))
        self.middle = EncoderMiddle(config)
        self.norm_out = nn.GroupNorm(config.norm_groups, config.channels[-1], eps=config.norm_eps)
        self.conv_out = SpatialConv(config.channels[-1], moments)
        # With a log variance near 0 a fresh encoder's latents drown in their own noise, which delays training.
        assert self.conv_out.bias is not None
        nn.init.constant_(self.conv_out.bias[config.latent_channels :], FRESH_LOG_VARIANCE)
        self.projection = nn.Conv2d(moments, moments, 1) if config.project_moments else nn.Identity()

    def forward(self, pixels: Float[Tensor, "n c h w"]) -> Float[Tensor, "n m h2 w2"]:
        """Return mean and log variance, joined on the channel axis."""
        frames = self.conv_in(pixels)
        for level in self.down:
            frames = level(frames)
        frames = self.middle(frames)
        return self.projection(self.conv_out(F.silu(self.norm_out(frames))))


def _levels(config: AutoencoderConfig) -> list[EncoderLevel]:
    levels: list[EncoderLevel] = []
    incoming = config.channels[0]
    for index, width in enumerate(config.channels):
        widths_in = [incoming] + [width] * (config.num_res_blocks - 1)
        blocks = [spatial_block(config, width_in, width) for width_in in widths_in]
        is_last = index == len(config.channels) - 1
        levels.append(EncoderLevel(blocks, None if is_last else Downsample(width, padding=(0, 1))))
        incoming = width
    return levels
