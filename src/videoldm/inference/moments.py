"""Group norms whose statistics are computed piece by piece, exact for any division into pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# PyTorch's CPU kernel adds sequentially in float32, which costs three digits for 100,000 rows and none for 1,000.
MAX_CPU_ROWS = 1024


class Moments(NamedTuple):
    """Count, mean and variance of the values of each channel in some pieces."""

    counts: Float[Tensor, "*rows pieces"]
    means: Float[Tensor, "*rows pieces c"]
    variances: Float[Tensor, "*rows pieces c"]


@dataclass(frozen=True)
class FixedNorm:
    """A group norm with given statistics: one scale and shift for each channel."""

    norm: nn.GroupNorm
    mean: Float[Tensor, " c"]
    variance: Float[Tensor, " c"]

    def __call__(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalise frames; the result is in channels-last memory format."""
        # A batch norm that does not train is that scale and shift, computed in float32 on 16-bit frames too.
        return F.batch_norm(
            frames.contiguous(memory_format=torch.channels_last),
            self.mean,
            self.variance,
            self.norm.weight.to(self.mean.dtype),
            self.norm.bias.to(self.mean.dtype),
            eps=self.norm.eps,
        )


def moments_of(frames: Float[Tensor, "n c h w"]) -> Moments:
    """Compute the moments of each channel in one pass over the frames."""
    num_channels = frames.shape[1]
    rows = frames.movedim(1, -1).reshape(-1, num_channels)
    parts = rows.split(MAX_CPU_ROWS if frames.is_cpu else len(rows))
    unused = torch.zeros(num_channels, dtype=torch.promote_types(frames.dtype, torch.float32), device=frames.device)
    # Viewed as pictures of one column, for which there are fast channels-last kernels.
    read = [torch.batch_norm_update_stats(part.t()[None, ..., None], unused, unused, 0.0) for part in parts]
    counts = [torch.full((), len(part), dtype=torch.float64, device=frames.device) for part in parts]
    return Moments(torch.stack(counts), *(torch.stack(moment) for moment in zip(*read, strict=True)))


def fixed_norm(norm: nn.GroupNorm, parts: Sequence[Moments]) -> FixedNorm:
    """Return the norm with the statistics of all parts together."""
    return FixedNorm(norm, *_of_groups(Moments(*map(torch.cat, zip(*parts, strict=True))), norm.num_groups))


def normalise_each(norm: nn.GroupNorm, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Apply a group norm to each frame with the frame's own statistics.

    For channels-last frames PyTorch's own norm makes copies on the GPU, and on the CPU it subtracts the squared mean
    from the mean of squares, which loses digits by cancellation.
    """
    parts = [moments_of(frame) for frame in frames.split(1)]
    statistics = _of_groups(Moments(*map(torch.stack, zip(*parts, strict=True))), norm.num_groups)
    norms = [FixedNorm(norm, *of_frame) for of_frame in zip(*statistics, strict=True)]
    if len(frames) == 1:
        return norms[0](frames)
    normalised = torch.empty_like(frames, memory_format=torch.channels_last)
    for norm_of_frame, frame, place in zip(norms, frames.split(1), normalised.split(1), strict=True):
        place.copy_(norm_of_frame(frame))
    return normalised


def _of_groups(moments: Moments, num_groups: int) -> tuple[Float[Tensor, "*rows c"], Float[Tensor, "*rows c"]]:
    """Return for each channel mean and variance of its group over all pieces.

    Pieces are joined in float64 by the law of total variance, which, unlike the mean of squares, is accurate where
    means are large.
    """
    means = moments.means.double().unflatten(-1, (num_groups, -1))
    variances = moments.variances.double().unflatten(-1, (num_groups, -1))
    weights = (moments.counts / moments.counts.sum(-1, keepdim=True) / means.shape[-1])[..., None, None]
    mean = (weights * means).sum((-3, -1), keepdim=True)
    variance = (weights * (variances + (means - mean).square())).sum((-3, -1), keepdim=True)
    size, dtype = means.shape[-1], moments.means.dtype
    mean, variance = (of_group.expand(*[-1] * (of_group.ndim - 1), size) for of_group in (mean, variance))
    return mean.flatten(-3).to(dtype), variance.flatten(-3).to(dtype)
