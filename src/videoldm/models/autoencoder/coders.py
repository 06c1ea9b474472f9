"""Encoder and decoder of the autoencoder; a temporal decoder sees whole clips, all else works frame by frame."""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.layers import (
    Downsample,
    Merge,
    ResBlock,
    SpatialConv,
    SpatioTemporalResBlock,
    TemporalConv,
    Upsample,
    attend,
    clips_to_frames,
    frames_to_clips,
)

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
        self.down = nn.ModuleList(_encoder_levels(config))
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


def _encoder_levels(config: AutoencoderConfig) -> list[EncoderLevel]:
    levels: list[EncoderLevel] = []
    incoming = config.channels[0]
    for index, width in enumerate(config.channels):
        widths_in = [incoming] + [width] * (config.num_res_blocks - 1)
        blocks = [spatial_block(config, width_in, width) for width_in in widths_in]
        is_last = index == len(config.channels) - 1
        levels.append(EncoderLevel(blocks, None if is_last else Downsample(width, padding=(0, 1))))
        incoming = width
    return levels


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
        self.up = nn.ModuleList(_decoder_levels(config))
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


def _decoder_levels(config: AutoencoderConfig) -> list[DecoderLevel]:
    levels: list[DecoderLevel] = []
    incoming = config.channels[-1]
    for index, width in reversed(list(enumerate(config.channels))):
        widths_in = [incoming] + [width] * config.num_res_blocks
        blocks = [decoder_block(config, width_in, width) for width_in in widths_in]
        levels.append(DecoderLevel(blocks, None if index == 0 else Upsample(width)))
        incoming = width
    return levels


def spatial_block(config: AutoencoderConfig, in_channels: int, out_channels: int) -> ResBlock:
    """Build a residual block of the encoder."""
    return ResBlock(
        in_channels, out_channels, conv=SpatialConv, norm_groups=config.norm_groups, norm_eps=config.norm_eps
    )


def decoder_block(config: AutoencoderConfig, in_channels: int, out_channels: int) -> SpatioTemporalResBlock:
    """Build a residual block of the decoder, which has a temporal part if the decoder is temporal."""
    spatial = spatial_block(config, in_channels, out_channels)
    if not isinstance(config.decoder, TemporalDecoder):
        return SpatioTemporalResBlock(spatial, None, None)
    temporal = ResBlock(
        out_channels,
        out_channels,
        conv=partial(TemporalConv, kernel=config.decoder.kernel),
        norm_groups=config.norm_groups,
        norm_eps=config.decoder.norm_eps,
        zero_output=True,
    )
    return SpatioTemporalResBlock(spatial, temporal, Merge(weighted="temporal", init=config.decoder.merge_init))


class PixelAttention(nn.Module):
    """Self-attention with one head among the positions of each frame, around a skip connection."""

    def __init__(self, channels: int, *, norm_groups: int, norm_eps: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(norm_groups, channels, eps=norm_eps)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.Linear(channels, channels)

    def forward(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Attend within each frame."""
        tokens = self.norm(frames).flatten(2).transpose(1, 2).unsqueeze(1)
        attended = attend(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        update = self.to_out(attended.squeeze(1)).transpose(1, 2)
        return frames + update.unflatten(2, frames.shape[2:])
