"""The video UNet (SVD, D.2; Video LDM, section 3.1); without temporal layers it is the image UNet it grew from."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.diffusion.conditioning import Conditioning
from videoldm.models.layers import Downsample, SpatialConv, Upsample, fold_frames, unfold_frames, zero_parameters
from videoldm.models.unet.blocks import DownLevel, Middle, UNetBlock, UpLevel
from videoldm.models.unet.conditions import BlockConditions, EmbeddingMLP, check_inputs, joined_input, sinusoids
from videoldm.models.unet.config import UNetConfig


class VideoUNet(nn.Module):
    """The raw network F of a denoiser.

    `down` is ordered from the finest level to the coarsest, `up` from the coarsest to the finest.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        width, dim = config.channels[0], config.embedding_dim
        self.time_embedding = EmbeddingMLP(width, dim, dim)
        self.vector_embedding = EmbeddingMLP(config.vector_dim, dim, dim) if config.vector_dim is not None else None
        self.noise_embedding = (
            nn.Embedding(config.num_noise_indices, dim) if config.num_noise_indices is not None else None
        )
        self.conv_in = SpatialConv(config.num_input_channels, width)
        down, skip_widths = _down_levels(config)
        self.down = nn.ModuleList(down)
        self.middle = Middle(config)
        self.up = nn.ModuleList(_up_levels(config, skip_widths))
        self.norm_out = nn.GroupNorm(config.norm_groups, width, eps=config.norm_eps.at("out"))
        self.conv_out = SpatialConv(width, config.out_channels)
        zero_parameters(self.conv_out)

    def forward(
        self, x: Float[Tensor, "b t c h w"], c_noise: Float[Tensor, "b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c_out h w"]:
        """Return F(x; c_noise) for scaled noisy latents of any number of frames and any size.

        Raises ValueError if the conditioning does not fit the configuration or x.
        """
        output, _ = self.forward_reusing(x, c_noise, conditioning, depth=1)
        return output

    def forward_reusing(
        self,
        x: Float[Tensor, "b t c h w"],
        c_noise: Float[Tensor, "b"],
        conditioning: Conditioning,
        *,
        depth: int,
        deep: Float[Tensor, "bt d h2 w2"] | None = None,
    ) -> tuple[Float[Tensor, "b t c_out h w"], Float[Tensor, "bt d h2 w2"]]:
        """Return F(x; c_noise) and the deep features: the input of the `depth` last blocks from the levels below.

        Given these as `deep` from an earlier call, only the `depth` outermost layers of either way run; conv_in counts
        as the first layer on the way down. (DeepCache, arXiv 2312.00858, section 3.2)
        """
        check_inputs(self.config, x, c_noise, conditioning)
        assert 1 <= depth <= self.max_depth, f"depth is {depth}, this UNet has {self.max_depth}"
        num_frames = x.shape[1]
        conditions = self._block_conditions(x, c_noise, conditioning)
        down, up = _layers(self.down), _layers(self.up)
        skips = [self.conv_in(fold_frames(joined_input(x, conditioning)))]
        _descend(down[: depth - 1], skips, conditions)
        if deep is None:
            _descend(down[depth - 1 :], skips, conditions)
            deep = _ascend(up[:-depth], self.middle(skips[-1], conditions), skips, conditions)
        frames = _ascend(up[-depth:], deep, skips, conditions)
        frames = self.conv_out(F.silu(self.norm_out(frames)))
        return unfold_frames(frames, num_frames).contiguous(), deep

    @property
    def blocks(self) -> list[UNetBlock]:
        """All blocks, in the order in which they run."""
        parts = (*self.down, self.middle, *self.up)
        return [block for part in parts for block in part.modules() if isinstance(block, UNetBlock)]

    @property
    def max_depth(self) -> int:
        """Number of layers on either way, including conv_in."""
        return len(_layers(self.up))

    def _block_conditions(self, x: Tensor, c_noise: Tensor, conditioning: Conditioning) -> BlockConditions:
        context, temporal_context = conditioning.context, conditioning.temporal_tokens
        assert context is not None
        assert temporal_context is not None
        num_frames = x.shape[1]
        noise = sinusoids(c_noise, self.config.channels[0]).to(x.dtype)
        embedding = self.time_embedding(noise)
        if self.noise_embedding is not None:
            embedding = embedding + self.noise_embedding(conditioning.noise_index)
        embedding = embedding.unsqueeze(1).expand(-1, num_frames, -1)
        if self.vector_embedding is not None:
            embedding = embedding + self.vector_embedding(conditioning.vector)
        image_only = conditioning.image_only
        return BlockConditions(
            num_frames=num_frames,
            embedding=F.silu(embedding).flatten(0, 1),
            context=context,
            temporal_context=temporal_context,
            image_only=None if image_only is None else image_only.flatten(),
        )


def _layers(levels: Iterable[Any]) -> list[Any]:
    """All layers of levels, in the order in which they run."""
    return [layer for level in levels for layer in level.layers]


def _descend(layers: Sequence[UNetBlock | Downsample], skips: list[Tensor], conditions: BlockConditions) -> None:
    """Run layers of the way down, each on the last of `skips`, and append their outputs."""
    for layer in layers:
        skips.append(layer(skips[-1], conditions) if isinstance(layer, UNetBlock) else layer(skips[-1]))


def _ascend(
    layers: Sequence[tuple[UNetBlock, Upsample | None]],
    frames: Tensor,
    skips: list[Tensor],
    conditions: BlockConditions,
) -> Tensor:
    """Run layers of the way up: each is joined by a skip from the list's end and enlarges to the size of the next."""
    for block, upsample in layers:
        frames = block(torch.cat([frames, skips.pop()], dim=1), conditions)
        if upsample is not None:
            height, width = skips[-1].shape[2:]
            frames = upsample(frames, (height, width))
    return frames


def _down_levels(config: UNetConfig) -> tuple[list[DownLevel], list[int]]:
    """Build the way down; also return the widths of its outputs, conv_in's first."""
    levels: list[DownLevel] = []
    skip_widths = [config.channels[0]]
    for index, width in enumerate(config.channels):
        attention = config.attention_at(index)
        place = "down" if attention is None else "down_with_attention"
        blocks: list[UNetBlock] = []
        for _ in range(config.num_res_blocks):
            blocks.append(UNetBlock(config, skip_widths[-1], width, place=place, attention=attention))
            skip_widths.append(width)
        is_last = index == len(config.channels) - 1
        levels.append(DownLevel(blocks, None if is_last else Downsample(width, padding=(1, 1))))
        if not is_last:
            skip_widths.append(width)
    return levels, skip_widths


def _up_levels(config: UNetConfig, skip_widths: list[int]) -> list[UpLevel]:
    """Build the way up, which uses the outputs of the way down from the last to the first."""
    levels: list[UpLevel] = []
    widths_left = list(skip_widths)
    incoming = config.channels[-1]
    for index in reversed(range(len(config.channels))):
        width, attention = config.channels[index], config.attention_at(index)
        blocks: list[UNetBlock] = []
        for _ in range(config.num_res_blocks + 1):
            joined = incoming + widths_left.pop()
            blocks.append(UNetBlock(config, joined, width, place="up", attention=attention))
            incoming = width
        levels.append(UpLevel(blocks, None if index == 0 else Upsample(width)))
    return levels
