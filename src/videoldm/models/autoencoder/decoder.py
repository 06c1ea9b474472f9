"""The decoder: raw latents to pixels, frame by frame or clip by clip."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.models.autoencoder.blocks import PixelAttention, decoder_block
from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.layers.convolution import SpatialConv, TemporalConv, Upsample
from videoldm.models.layers.frames import clips_to_frames, frames_to_clips
from videoldm.models.layers.resnet import SpatioTemporalResBlock


class DecoderLevel(nn.Module):
    """Residual blocks at one size, then an upsampling unless it is the finest level."""

    def __init__(self, blocks: list[SpatioTemporalResBlock], upsample: Upsample | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.upsample = upsample

    def forward(self, frames: Float[Tensor, "bt c h w"], num_frames: int) -> Float[Tensor, "bt c2 h2 w2"]:
        """Apply the level."""
        for block in self.blocks:
            frames = block(frames, num_frames=num_frames)
        if self.upsample is None:
            return frames
        height, width = frames.shape[2:]
        return self.upsample(frames, (2 * height, 2 * width))


class DecoderMiddle(nn.Module):
    """Two residual blocks around attention within each frame."""

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        width = config.channels[-1]
        self.block1 = decoder_block(config, width, width)
        self.attention = PixelAttention(width, norm_groups=config.norm_groups, norm_eps=config.norm_eps)
        self.block2 = decoder_block(config, width, width)

    def forward(self, frames: Float[Tensor, "bt c h w"], num_frames: int) -> Float[Tensor, "bt c h w"]:
        """Apply the three layers."""
        frames = self.attention(self.block1(frames, num_frames=num_frames))
        return self.block2(frames, num_frames=num_frames)


class Decoder(nn.Module):
    """Stable Diffusion's decoder; the temporal kind adds temporal blocks and a last temporal convolution.

    `up` is ordered from the coarsest level to the finest. A fresh temporal decoder does what its plain part does.
    """

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        patch_channels = config.patch_channels
        self.projection = (
            nn.Conv2d(config.latent_channels, config.latent_channels, 1) if config.project_latents else nn.Identity()
        )
        self.conv_in = SpatialConv(config.latent_channels, config.channels[-1])
        self.middle = DecoderMiddle(config)
        self.up = nn.ModuleList(_levels(config))
        self.norm_out = nn.GroupNorm(config.norm_groups, config.channels[0], eps=config.norm_eps)
        self.conv_out = SpatialConv(config.channels[0], patch_channels)
        self.temporal_conv_out: TemporalConv | None = None
        if isinstance(config.decoder, TemporalDecoder):
            self.temporal_conv_out = TemporalConv(patch_channels, patch_channels, kernel=config.decoder.kernel)
            self.temporal_conv_out.reset_to_identity()

    def forward(self, latents: Float[Tensor, "bt z h w"], num_frames: int) -> Float[Tensor, "bt c hf wf"]:
        """Decode frames of clips that are `num_frames` long."""
        frames = self.middle(self.conv_in(self.projection(latents)), num_frames)
        for level in self.up:
            frames = level(frames, num_frames)
        pixels = self.conv_out(F.silu(self.norm_out(frames)))
        if self.temporal_conv_out is None:
            return pixels
        clips = self.temporal_conv_out(frames_to_clips(pixels, num_frames))
        return clips_to_frames(clips, pixels.shape[2])


def _levels(config: AutoencoderConfig) -> list[DecoderLevel]:
    levels: list[DecoderLevel] = []
    incoming = config.channels[-1]
    for index, width in reversed(list(enumerate(config.channels))):
        widths_in = [incoming] + [width] * config.num_res_blocks
        blocks = [decoder_block(config, width_in, width) for width_in in widths_in]
        levels.append(DecoderLevel(blocks, None if index == 0 else Upsample(width)))
        incoming = width
    return levels
