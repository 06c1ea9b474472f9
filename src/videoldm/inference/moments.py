"""Group norms whose statistics are gathered piece by piece, exact for any pieces."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

# PyTorch's CPU kernel adds one number after the other in float32: 100,000 rows cost three digits, 1,000 none.
MAX_CPU_ROWS = 1024


@dataclass(frozen=True)
class FixedNorm:
    """A group norm with given statistics: one scale and shift for each channel."""

    norm: nn.GroupNorm
    mean: Float[Tensor, " c"]
    variance: Float[Tensor, " c"]

    def __call__(self, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Normalise frames; the result lies channels last in memory."""
        # A batch norm that does not train is that scale and shift, computed in float32 on 16-bit frames too.
        return F.batch_norm(
            frames.contiguous(memory_format=torch.channels_last),
            self.mean,
            self.variance,
            self.norm.weight.to(self.mean.dtype),
            self.norm.bias.to(self.mean.dtype),
            eps=self.norm.eps,
        )


class Moments:
    """Mean and variance of each channel over all frames that were added.

    Every piece is read once. The pieces' moments are joined in float64 by the law of total variance, which unlike the
    mean of squares does not cancel where means are large.
    """

    def __init__(self) -> None:
        self._means: list[Tensor] = []
        self._variances: list[Tensor] = []
        self._counts: list[int] = []

    def add(self, frames: Float[Tensor, "n c h w"]) -> None:
        """Take in more values of each channel."""
        num_channels = frames.shape[1]
        rows = frames.movedim(1, -1).reshape(-1, num_channels)
        unused = torch.zeros(num_channels, dtype=torch.promote_types(frames.dtype, torch.float32), device=frames.device)
        for part in rows.split(MAX_CPU_ROWS if frames.is_cpu else len(rows)):
            # As a picture of one column, which the fast kernels for channels-last pictures read.
            mean, variance = torch.batch_norm_update_stats(part.t()[None, ..., None], unused, unused, 0.0)
            self._means.append(mean)
            self._variances.append(variance)
            self._counts.append(len(part))

    def fix(self, norm: nn.GroupNorm) -> FixedNorm:
        """The norm with the statistics of all that was added."""
        means = torch.stack(self._means).double().unflatten(1, (norm.num_groups, -1))
        variances = torch.stack(self._variances).double().unflatten(1, (norm.num_groups, -1))
        counts = torch.tensor(self._counts, dtype=torch.float64, device=means.device).view(-1, 1, 1)
        weights = counts / (counts.sum() * means.shape[2])
        mean = (weights * means).sum((0, 2), keepdim=True)
        variance = (weights * (variances + (means - mean).square())).sum((0, 2), keepdim=True)
        mean, variance = (moment.expand(1, *means.shape[1:]).flatten() for moment in (mean, variance))
        dtype = self._means[0].dtype
        return FixedNorm(norm, mean.to(dtype), variance.to(dtype))


def normalise_each(norm: nn.GroupNorm, frames: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
    """Apply a group norm to each frame with the frame's own statistics.

    PyTorch's own would do, but for channels-last frames it makes copies on the GPU, and on the CPU it takes the squared
    mean from the mean of squares, which cancels.
    """
    if len(frames) == 1:
        moments = Moments()
        moments.add(frames)
        return moments.fix(norm)(frames)
    normalised = torch.empty_like(frames, memory_format=torch.channels_last)
    for index in range(len(frames)):
        normalised[index] = normalise_each(norm, frames[index : index + 1])[0]
    return normalised
