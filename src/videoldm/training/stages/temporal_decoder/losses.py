"""Losses of a decoder of clips: likeness to the true clip, and how hard the discriminator may pull."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import assert_never

import torch
from jaxtyping import Float
from torch import Tensor, nn

from videoldm.diffusion.config import Absolute
from videoldm.measures.config import FarnebackConfig
from videoldm.measures.feature_distances import perceptual_distance
from videoldm.measures.feature_network import FeatureNetwork
from videoldm.measures.flow import visible_backward_flow, visible_flow, warp
from videoldm.measures.temporal import forward_backward_valid
from videoldm.training.stages.temporal_decoder.config import (
    AdaptiveWeight,
    FeatureLoss,
    FixedWeight,
    LogSquared,
    Reconstruction,
    TemporalDecoderStage,
    WarpedDifference,
)

SMALLEST_ERROR = 1e-5
"""Keeps the logarithm finite; for pixels in [-1, 1] it is 56 dB."""
SMALLEST_GRADIENT = 1e-12

LossParts = dict[str, Tensor]


class DecoderLoss:
    """Weighted sum of reconstruction, perceptual and consistency loss, as a stage says."""

    def __init__(self, stage: TemporalDecoderStage, judge: FeatureNetwork | None) -> None:
        self._stage, self._judge = stage, judge

    def __call__(
        self, pixels: Float[Tensor, "b t c h w"], decoded: Float[Tensor, "b t c h w"]
    ) -> tuple[Float[Tensor, " b"], LossParts]:
        """Return the sum for each clip, and its parts before they are weighted."""
        loss = reconstruction_loss(self._stage.reconstruction, pixels, decoded)
        parts = {"reconstruction": loss.detach()}
        if isinstance(self._stage.perceptual, FeatureLoss):
            assert self._judge is not None
            distance = _feature_distance(self._judge, pixels, decoded)
            parts["perceptual"] = distance.detach()
            loss = loss + self._stage.perceptual.weight * distance
        if isinstance(self._stage.consistency, WarpedDifference):
            difference = warped_difference(pixels, decoded, self._stage.consistency.flow)
            parts["warped_difference"] = difference.detach()
            loss = loss + self._stage.consistency.weight * difference
        return loss, parts


def reconstruction_loss(
    kind: Reconstruction, pixels: Float[Tensor, "b t c h w"], decoded: Float[Tensor, "b t c h w"]
) -> Float[Tensor, " b"]:
    """Return the difference between decoded and true clips, pixel by pixel."""
    error = (decoded - pixels).flatten(1)
    match kind:
        case Absolute():
            return error.abs().mean(1)
        case LogSquared():
            return torch.log(error.square().mean(1) + SMALLEST_ERROR)
        case _:
            assert_never(kind)


def warped_difference(
    pixels: Float[Tensor, "b t c h w"], decoded: Float[Tensor, "b t c h w"], config: FarnebackConfig
) -> Float[Tensor, " b"]:
    """Return the warping error of decoded clips along the motion of the true ones; 0 where none can be followed."""
    forward = visible_flow(pixels, config)
    valid = forward_backward_valid(forward, visible_backward_flow(pixels, config)).to(decoded.dtype)
    difference = (warp(decoded[:, 1:], forward) - decoded[:, :-1]).abs().mean(2)
    # Not `warping_error`: the gradient of its NaN, which says that nothing could be followed, is NaN as well.
    return (difference * valid).sum((1, 2, 3)) / valid.sum((1, 2, 3)).clamp_min(1)


def adversarial_factor(
    weight: FixedWeight | AdaptiveWeight,
    loss: Float[Tensor, " b"],
    hinge: Float[Tensor, " b"],
    decoded: Float[Tensor, "b t c h w"],
) -> Float[Tensor, " b"]:
    """Return the factor on each clip's adversarial loss `hinge`; it and `loss` depend on `decoded`."""
    match weight:
        case FixedWeight(value=value):
            return torch.full_like(hinge, value).detach()
        case AdaptiveWeight(share=share, most=most):
            ours, theirs = (_gradient_norm(values, decoded) for values in (loss, hinge))
            return share * (ours / (theirs + SMALLEST_GRADIENT)).clamp(max=most)
        case _:
            assert_never(weight)


@contextmanager
def frozen(network: nn.Module) -> Generator[None]:
    """Freeze a network within the context, while gradients still pass through it."""
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _gradient_norm(values: Float[Tensor, " b"], decoded: Float[Tensor, "b t c h w"]) -> Float[Tensor, " b"]:
    """Return the norm of each clip's own gradient; no value depends on another clip."""
    (gradient,) = torch.autograd.grad(values.sum(), decoded, retain_graph=True)
    return gradient.flatten(1).norm(dim=1)


def _feature_distance(
    judge: FeatureNetwork, pixels: Float[Tensor, "b t c h w"], decoded: Float[Tensor, "b t c h w"]
) -> Float[Tensor, " b"]:
    with torch.no_grad():
        true = judge(pixels).maps
    return perceptual_distance(judge(decoded).maps, true)
