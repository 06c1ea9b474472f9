"""Reuse of deep features between the steps of a sampler (DeepCache, arXiv 2312.00858)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.diffusion.conditioning import FIELDS, Conditioning
from videoldm.inference.config import Reuse
from videoldm.models.unet.network import VideoUNet


@dataclass
class _Branch:
    """What one run keeps for one conditioning of its clips."""

    conditioning: Conditioning
    num_calls: int = 0
    deep: Float[Tensor, "bt d h w"] | None = None


class Reusing:
    """A UNet of which most calls compute the outermost layers only; not exact.

    It serves one sampling run of `num_clips` clips: make a new one for the next. The branches of guidance keep features
    of their own; they are told apart by their conditionings, which must stay the same over the run. Branches that come
    in one batch are computed one after the other, so that it does not matter how guidance evaluates them.
    Raises InputError for a depth that the UNet does not have.
    """

    def __init__(self, unet: VideoUNet, reuse: Reuse, *, num_clips: int) -> None:
        if reuse.depth > unet.max_depth:
            raise InputError(f"reuse: depth is {reuse.depth}, this UNet has {unet.max_depth} layers: give at most that")
        self._unet = unet
        self._reuse = reuse
        self._num_clips = num_clips
        self._branches: list[_Branch] = []

    def __call__(
        self, x: Float[Tensor, "b t c h w"], c_noise: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """See `Network`; a batch holds all clips of the run once for each branch."""
        starts = range(0, len(x), self._num_clips)
        rows = [slice(start, start + self._num_clips) for start in starts]
        return torch.cat([self._evaluate(x[part], c_noise[part], conditioning[part]) for part in rows])

    def _evaluate(self, x: Tensor, c_noise: Tensor, conditioning: Conditioning) -> Tensor:
        branch = self._branch_of(conditioning)
        is_full = branch.num_calls % self._reuse.interval == 0
        output, branch.deep = self._unet.forward_reusing(
            x, c_noise, conditioning, depth=self._reuse.depth, deep=None if is_full else branch.deep
        )
        branch.num_calls += 1
        return output

    def _branch_of(self, conditioning: Conditioning) -> _Branch:
        for branch in self._branches:
            if _are_equal(branch.conditioning, conditioning):
                return branch
        self._branches.append(_Branch(conditioning))
        return self._branches[-1]


def _are_equal(first: Conditioning, second: Conditioning) -> bool:
    pairs = [(getattr(first, name), getattr(second, name)) for name in FIELDS]
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)
