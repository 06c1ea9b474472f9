"""Residual blocks over space and over time, and the pair of both that every video block is."""

from collections.abc import Callable

from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from videoldm.models.layers.frames import clips_to_frames, frames_to_clips
from videoldm.models.layers.initial import zero_parameters
from videoldm.models.layers.merge import Merge


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
