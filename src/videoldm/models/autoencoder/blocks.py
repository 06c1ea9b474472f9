"""Pieces of the encoder and the decoder."""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from videoldm.models.autoencoder.config import AutoencoderConfig, TemporalDecoder
from videoldm.models.layers.attention import attend
from videoldm.models.layers.convolution import SpatialConv, TemporalConv
from videoldm.models.layers.merge import Merge
from videoldm.models.layers.resnet import ResBlock, SpatioTemporalResBlock


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
