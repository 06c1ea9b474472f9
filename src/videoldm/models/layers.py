"""Layers that the UNet and the autoencoder share.

They see a batch of clips in two forms: as frames `(b t) c h w`, each a picture for the spatial layers, and as clips
`b c t (h w)` with one axis of space, for which temporal convolution and normalisation are 2-D operations.
"""

import math
from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

Branch = Literal["spatial", "temporal"]
# CUDA's attention kernels launch one block column for each row; more rows than this do not fit a grid.
MAX_ROWS = 65_535
# On CPUs, numbers of keys between which two 16-bit products and a softmax take less time than the fused kernel, and
# scores are small.
MIN_KEYS_OF_PRODUCTS, MAX_KEYS_OF_PRODUCTS = 64, 512


class SpatialConv(nn.Conv2d):
    """A 3 x 3 convolution of each frame that keeps its size."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1)


class TemporalConv(nn.Module):
    """A convolution over the frames of each pixel, with zeros beyond the ends of the clip.

    The weight has the shape of a 3-D convolution, `o i kernel 1 1`; the input is `b c t (h w)`, for which a 2-D
    convolution does the same and is faster.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, kernel, 1, 1))
        self.bias = nn.Parameter(torch.empty(out_channels))
        bound = 1 / math.sqrt(in_channels * kernel)
        nn.init.uniform_(self.weight, -bound, bound)
        nn.init.uniform_(self.bias, -bound, bound)

    def reset_to_identity(self) -> None:
        """Make the convolution return its input, for as many channels in as out."""
        nn.init.dirac_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, clips: Float[Tensor, "b c t s"]) -> Float[Tensor, "b c_out t s"]:
        """Convolve along `t`."""
        padding = (self.weight.shape[2] // 2, 0)
        return F.conv2d(clips, self.weight.squeeze(-1), self.bias, padding=padding)


class Downsample(nn.Module):
    """Halve height and width with a strided convolution; `padding` is (before, after) on both axes of space.

    An odd size is rounded up with padding (1, 1), as in the UNet, and down with (0, 1), as in the encoder.
    """

    def __init__(self, channels: int, *, padding: tuple[int, int]) -> None:
        super().__init__()
        before, after = padding
        self.more_after = after - before
        self.conv = nn.Conv2d(channels, channels, kernel_size=3, stride=2, padding=before)

    def forward(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """Shrink frames."""
        if self.more_after:
            frames = F.pad(frames, (0, self.more_after, 0, self.more_after))
        return self.conv(frames)


class Upsample(nn.Module):
    """Enlarge to a given size with nearest-neighbour interpolation and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = SpatialConv(channels, channels)

    def forward(self, frames: Float[Tensor, "n c h w"], size: tuple[int, int]) -> Float[Tensor, "n c h2 w2"]:
        """Enlarge frames to `size` (height, width)."""
        return self.conv(F.interpolate(frames, size=size, mode="nearest"))


class Merge(nn.Module):
    """Blend two branches with one learned weight, sigmoid(mix_factor).

    `weighted` names the branch that the sigmoid multiplies: the spatial one in SVD's UNet, the temporal one in its
    decoder. Rows marked as images take the spatial branch alone, exactly. (Video LDM, section 3.1)
    """

    def __init__(self, *, weighted: Branch, init: float) -> None:
        super().__init__()
        self.weighted: Branch = weighted
        self.mix_factor = nn.Parameter(torch.tensor([init]))

    def forward(
        self,
        spatial: Float[Tensor, "bt ..."],
        temporal: Float[Tensor, "bt ..."],
        image_only: Bool[Tensor, "bt"] | None = None,
    ) -> Float[Tensor, "bt ..."]:
        """Blend the two branches of all frames."""
        share = self.spatial_share()
        if image_only is not None:
            share = torch.where(image_only, 1.0, share).view(-1, *[1] * (spatial.ndim - 1))
        return torch.lerp(temporal.to(spatial.dtype), spatial, share.to(spatial.dtype))

    def spatial_share(self) -> Float[Tensor, "1"]:
        """Return the weight of the spatial branch; the temporal branch has the rest to 1."""
        share = self.mix_factor.sigmoid()
        return share if self.weighted == "spatial" else 1 - share


class ResBlock(nn.Module):
    """Two convolutions, each after group norm and SiLU, around a skip connection.

    `conv` builds the convolution from (in, out) channels: over space on `(b t) c h w`, or over time on `b c t (h w)`,
    where the statistics of the norms then span the whole clip.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        conv: Callable[[int, int], nn.Module],
        norm_groups: int,
        norm_eps: float,
        embedding_dim: int | None = None,
        zero_output: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(norm_groups, in_channels, eps=norm_eps)
        self.conv1 = conv(in_channels, out_channels)
        self.embedding = nn.Linear(embedding_dim, out_channels) if embedding_dim is not None else None
        self.norm2 = nn.GroupNorm(norm_groups, out_channels, eps=norm_eps)
        self.conv2 = conv(out_channels, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()
        if zero_output:
            zero_parameters(self.conv2)

    def forward(
        self, x: Float[Tensor, "rows c ..."], embedding: Float[Tensor, "rows ... d"] | None = None
    ) -> Float[Tensor, "rows c_out ..."]:
        """Transform x; `embedding` (after its SiLU) is `(b t) d` for frames and `b t d` for clips."""
        hidden = self.conv1(F.silu(self.norm1(x)))
        if self.embedding is not None:
            shift = self.embedding(embedding).movedim(-1, 1)
            hidden = hidden + shift.view(*shift.shape, *[1] * (hidden.ndim - shift.ndim))
        hidden = self.conv2(F.silu(self.norm2(hidden)))
        return self.shortcut(x) + hidden


class SpatioTemporalResBlock(nn.Module):
    """A residual block over space, one over time on its result, and their merge; without `temporal` it is per frame.

    (SVD, D.2; Video LDM, section 3.1)
    """

    def __init__(self, spatial: ResBlock, temporal: ResBlock | None, merge: Merge | None) -> None:
        super().__init__()
        self.spatial = spatial
        self.temporal = temporal
        self.merge = merge

    def forward(
        self,
        frames: Float[Tensor, "bt c h w"],
        embedding: Float[Tensor, "bt d"] | None = None,
        *,
        num_frames: int,
        image_only: Bool[Tensor, "bt"] | None = None,
    ) -> Float[Tensor, "bt c_out h w"]:
        """Transform frames; `num_frames` is the length of a clip."""
        spatial = self.spatial(frames, embedding)
        if self.temporal is None or self.merge is None:
            return spatial
        clip_embedding = embedding.unflatten(0, (-1, num_frames)) if embedding is not None else None
        clips = self.temporal(frames_to_clips(spatial, num_frames), clip_embedding)
        return self.merge(spatial, clips_to_frames(clips, spatial.shape[2]), image_only)


def attend(
    query: Float[Tensor, "rows heads s d"], key: Float[Tensor, "rows heads n d"], value: Float[Tensor, "rows heads n d"]
) -> Float[Tensor, "rows heads s d"]:
    """Compute softmax(q k / sqrt(d)) v for any number of rows."""
    if query.is_cpu and query.dtype is not torch.float32 and torch.is_grad_enabled():
        if MIN_KEYS_OF_PRODUCTS <= key.shape[2] <= MAX_KEYS_OF_PRODUCTS:
            scores = (query * query.shape[3] ** -0.5) @ key.transpose(2, 3)
            return scores.softmax(3) @ value
        # PyTorch's 16-bit CPU kernel is many times slower than the fp32 one in the backward pass.
        with torch.autocast("cpu", enabled=False):
            return F.scaled_dot_product_attention(query.float(), key.float(), value.float()).to(query.dtype)
    parts = zip(query.split(MAX_ROWS), key.split(MAX_ROWS), value.split(MAX_ROWS), strict=True)
    attended = [F.scaled_dot_product_attention(*part) for part in parts]
    return attended[0] if len(attended) == 1 else torch.cat(attended)


def fold_frames(video: Float[Tensor, "b t c h w"]) -> Float[Tensor, "bt c h w"]:
    """Make every frame of every clip a row."""
    return video.flatten(0, 1)


def unfold_frames(frames: Float[Tensor, "bt c h w"], num_frames: int) -> Float[Tensor, "b t c h w"]:
    """Undo `fold_frames`."""
    return frames.unflatten(0, (-1, num_frames))


def frames_to_clips(frames: Float[Tensor, "bt c h w"], num_frames: int) -> Float[Tensor, "b c t s"]:
    """View frames as clips with one axis of space."""
    return unfold_frames(frames, num_frames).transpose(1, 2).flatten(3)


def clips_to_frames(clips: Float[Tensor, "b c t s"], height: int) -> Float[Tensor, "bt c h w"]:
    """Undo `frames_to_clips`."""
    return fold_frames(clips.unflatten(3, (height, -1)).transpose(1, 2))


def zero_parameters(module: nn.Module) -> None:
    """Set all parameters of a module to zero, so that its branch adds nothing at first."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
