"""Reuse of deep features between the steps of a sampler (DeepCache, arXiv 2312.00858)."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.diffusion.conditioning import FIELDS, Conditioning
from videoldm.inference.config import Reuse
from videoldm.models.unet.network import VideoUNet

NUM_KEPT = 2


@dataclass
class _Branch:
    """Deep features that one run keeps for one of its conditionings."""

    conditioning: Conditioning
    num_calls: int = 0
    kept: list[Float[Tensor, "bt d h w"]] = field(default_factory=list[Tensor])
    """Features of the last full calls, the latest at the end."""


class ReusingUNet:
    """A UNet of which most calls compute the outermost layers only; not exact.

    One object serves one sampling run. Each branch of guidance has features of its own; branches are distinguished by
    their conditionings, which must stay the same during the run.
    Raises InputError for a depth that the UNet does not have.
    """

    def __init__(self, unet: VideoUNet, reuse: Reuse) -> None:
        if reuse.depth > unet.max_depth:
            raise InputError(f"reuse: depth is {reuse.depth}, this UNet has {unet.max_depth} layers: give at most that")
        self._unet = unet
        self._reuse = reuse
        self._branches: list[_Branch] = []

    def __call__(
        self, x: Float[Tensor, "b t c h w"], c_noise: Float[Tensor, " b"], conditioning: Conditioning
    ) -> Float[Tensor, "b t c h w"]:
        """Return the UNet's output, with deep features of this call or extrapolated from earlier ones."""
        branch = self._branch_of(conditioning)
        calls_since_full = branch.num_calls % self._reuse.interval
        branch.num_calls += 1
        known = _extrapolated(branch.kept, calls_since_full / self._reuse.interval) if calls_since_full else None
        output, deep = self._unet.forward_reusing(x, c_noise, conditioning, depth=self._reuse.depth, deep=known)
        if known is None:
            branch.kept = [*branch.kept, deep][-NUM_KEPT:]
        return output

    def _branch_of(self, conditioning: Conditioning) -> _Branch:
        for branch in self._branches:
            if _are_equal(branch.conditioning, conditioning):
                return branch
        self._branches.append(_Branch(conditioning))
        return self._branches[-1]


def _extrapolated(kept: list[Tensor], intervals: float) -> Float[Tensor, "bt d h w"]:
    """Extrapolate the last two features linearly by a number of intervals; return a single one as it is.

    (TaylorSeer, arXiv 2503.06923, first order)
    """
    return kept[-1] if len(kept) < NUM_KEPT else torch.lerp(kept[0], kept[1], 1 + intervals)


def _are_equal(first: Conditioning, second: Conditioning) -> bool:
    pairs = [(getattr(first, name), getattr(second, name)) for name in FIELDS]
    return all(a is b or (a is not None and b is not None and torch.equal(a, b)) for a, b in pairs)
