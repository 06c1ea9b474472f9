"""Dropout of conditions in training, for classifier-free guidance.

It changes `context`, `temporal_context`, `concat` and `frame_mask` of a `Conditioning`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from videoldm.conditioners.config import DropoutConfig
from videoldm.core.random import SampleKey, generator
from videoldm.diffusion.conditioning import Conditioning

DROPOUT = "condition dropout"


@dataclass(frozen=True)
class DroppedConditions:
    """Masks of the clips of a batch that lose their context, and of those that lose their given frames."""

    context: Bool[Tensor, " b"]
    concat: Bool[Tensor, " b"]


def draw_dropout(config: DropoutConfig, samples: Sequence[SampleKey]) -> DroppedConditions:
    """Draw from each sample's own stream; always three numbers, so that no rate affects the draws of another."""
    draws = torch.stack([torch.rand(3, generator=generator(seed, DROPOUT, *position)) for seed, *position in samples])
    joint, context, concat = (draws < torch.tensor([config.joint, config.context, config.concat])).unbind(dim=1)
    return DroppedConditions(context=joint | context, concat=joint | concat)


def apply_dropout(
    conditioning: Conditioning,
    drops: DroppedConditions,
    *,
    null_context: Float[Tensor, "1 n d"] | None,
    null_temporal_context: Float[Tensor, "1 m d"] | None = None,
) -> Conditioning:
    """Replace dropped contexts by `null_context` (the empty prompt's; None: zeros) and dropped frames by zeros.

    null_temporal_context: that of the temporal layers, if they have their own text encoder.
    The frame mask is dropped with the given frames; the vector always stays. Samples that lose everything equal the
    unconditional branch of guidance in sampling (`diffusion.guidance.drop_image`, `use_context`).
    """
    null = 0.0 if null_context is None else null_context
    temporal = null if null_temporal_context is None else null_temporal_context
    return conditioning.replace(
        context=_replace(conditioning.context, drops.context, null),
        temporal_context=_replace(conditioning.temporal_context, drops.context, temporal),
        concat=_replace(conditioning.concat, drops.concat, 0.0),
        frame_mask=_replace(conditioning.frame_mask, drops.concat, 0.0),
    )


def _replace(value: Tensor | None, is_dropped: Bool[Tensor, " b"], substitute: Tensor | float) -> Tensor | None:
    if value is None:
        return None
    rows = is_dropped.to(value.device).reshape(-1, *[1] * (value.ndim - 1))
    return torch.where(rows, torch.as_tensor(substitute).to(value), value)
