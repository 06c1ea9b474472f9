"""Levels of the UNet: the blocks that run at one size of the latents."""

from functools import partial

from jaxtyping import Float
from torch import Tensor, nn

from videoldm.models.layers import (
    Downsample,
    Merge,
    ResBlock,
    SpatialConv,
    SpatioTemporalResBlock,
    TemporalConv,
    Upsample,
)
from videoldm.models.unet.conditions import BlockConditions
from videoldm.models.unet.config import AttentionSizes, Place, UNetConfig
from videoldm.models.unet.transformer import SpatioTemporalTransformer


def res_block(config: UNetConfig, in_channels: int, out_channels: int, place: Place) -> SpatioTemporalResBlock:
    """Build a residual block; its last convolutions start at zero, so that it starts as its skip connection."""
    build = partial(
        ResBlock,
        norm_groups=config.norm_groups,
        norm_eps=config.norm_eps.at(place),
        embedding_dim=config.embedding_dim,
        zero_output=True,
    )
    spatial = build(in_channels, out_channels, conv=SpatialConv)
    layers = config.temporal_layers
    if layers is None:
        return SpatioTemporalResBlock(spatial, None, None)
    temporal = build(out_channels, out_channels, conv=partial(TemporalConv, kernel=layers.kernel))
    return SpatioTemporalResBlock(spatial, temporal, Merge(weighted="spatial", init=layers.merge_init))


class UNetBlock(nn.Module):
    """A residual block and, where the level has attention, a transformer."""

    def __init__(
        self,
        config: UNetConfig,
        in_channels: int,
        out_channels: int,
        *,
        place: Place,
        attention: AttentionSizes | None,
    ) -> None:
        super().__init__()
        self.resnet = res_block(config, in_channels, out_channels, place)
        self.transformer = SpatioTemporalTransformer(config, out_channels, attention) if attention is not None else None

    def forward(self, frames: Float[Tensor, "bt c h w"], conditions: BlockConditions) -> Float[Tensor, "bt c2 h w"]:
        """Transform frames."""
        frames = self.resnet(
            frames, conditions.embedding, num_frames=conditions.num_frames, image_only=conditions.image_only
        )
        return frames if self.transformer is None else self.transformer(frames, conditions)


class DownLevel(nn.Module):
    """Blocks at one size, then a downsampling unless it is the coarsest level."""

    def __init__(self, blocks: list[UNetBlock], downsample: Downsample | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.downsample = downsample

    @property
    def layers(self) -> list[UNetBlock | Downsample]:
        """Layers in the order in which they run; the UNet keeps the output of each for the way up."""
        blocks = [block for block in self.blocks if isinstance(block, UNetBlock)]
        return [*blocks, *([] if self.downsample is None else [self.downsample])]


class Middle(nn.Module):
    """The coarsest part: a block with attention and one more residual block."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        width = config.channels[-1]
        self.block1 = UNetBlock(config, width, width, place="middle", attention=config.middle_attention)
        self.block2 = UNetBlock(config, width, width, place="middle", attention=None)

    def forward(self, frames: Float[Tensor, "bt c h w"], conditions: BlockConditions) -> Float[Tensor, "bt c h w"]:
        """Transform frames."""
        return self.block2(self.block1(frames, conditions), conditions)


class UpLevel(nn.Module):
    """Blocks at one size, each joined by an output of the way down, then an upsampling unless it is the finest."""

    def __init__(self, blocks: list[UNetBlock], upsample: Upsample | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.upsample = upsample

    @property
    def layers(self) -> list[tuple[UNetBlock, Upsample | None]]:
        """Blocks in the order in which they run, each with the upsampling that follows it."""
        blocks = [block for block in self.blocks if isinstance(block, UNetBlock)]
        return [*((block, None) for block in blocks[:-1]), (blocks[-1], self.upsample)]
