"""The contrastive loss that trains the two encoders against each other."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

INITIAL_LOGIT_SCALE = math.log(1 / 0.07)
MAX_LOGIT_SCALE = math.log(100)


def contrastive_loss(
    image_embeds: Float[Tensor, "b d"],
    text_embeds: Float[Tensor, "b d"],
    logit_scale: Float[Tensor, ""],
    *,
    ignored: Bool[Tensor, "b b"] | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of finding each picture's text and each text's picture in the batch.

    Row i of both belong together; they are normalised here. `logit_scale` is the logarithm of the factor on the
    cosines, as CLIP stores it: training starts it at INITIAL_LOGIT_SCALE and clamps it to MAX_LOGIT_SCALE. Pairs that
    are `ignored`, never a row's own, count as neither right nor wrong. CLIP (arXiv 2103.00020), 2.3 and fig. 3.
    """
    cosines = F.normalize(image_embeds, dim=-1) @ F.normalize(text_embeds, dim=-1).T
    logits = cosines * logit_scale.exp()
    if ignored is not None:
        logits = logits.masked_fill(ignored, -torch.inf)
    matches = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, matches) + F.cross_entropy(logits.T, matches)) / 2
