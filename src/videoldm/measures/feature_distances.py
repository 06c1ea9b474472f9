"""Distances between features: Frechet distance of sets, perceptual distance of pairs.

Frechet distance: Heusel et al. 2017 for FID; Unterthiner et al. 2018 for FVD.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.arguments import check_same_shape


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """Statistics of a set of features, as the Frechet distance needs them, in float64."""

    num_samples: int
    mean: Float[Tensor, " d"]
    covariance: Float[Tensor, "d d"]
    """Unbiased: the divisor is num_samples - 1."""


def feature_statistics(features: Float[Tensor, "n d"]) -> FeatureStatistics:
    """Compute mean and unbiased covariance; raises InputError for fewer than two vectors or non-finite values."""
    if features.ndim != 2 or features.shape[0] < 2:
        raise InputError(f"feature_statistics: needs features 'n d' with n >= 2, got {tuple(features.shape)}")
    if not torch.isfinite(features).all():
        raise InputError("feature_statistics: the features hold NaN or infinite values")
    values = features.detach().double()
    mean = values.mean(dim=0)
    centred = values - mean
    covariance = centred.T @ centred / (len(values) - 1)
    return FeatureStatistics(num_samples=len(values), mean=mean, covariance=covariance)


def frechet_distance_between(first: FeatureStatistics, second: FeatureStatistics) -> float:
    """Compute |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)); lower is closer.

    The last trace is the nuclear norm of R1^T R2 for any factors C = R R^T. Eigenvalue factors keep it real and
    finite for singular covariances (fewer samples than dimensions), with nothing added to the diagonal.
    """
    if first.mean.shape != second.mean.shape:
        raise InputError(f"frechet_distance: features have different lengths, {len(first.mean)} and {len(second.mean)}")
    cross = _factor(first.covariance).T @ _factor(second.covariance)
    trace = first.covariance.trace() + second.covariance.trace() - 2 * torch.linalg.svdvals(cross).sum()
    distance = (first.mean - second.mean).square().sum() + trace
    return max(float(distance), 0.0)


def frechet_distance(first: Float[Tensor, "n d"], second: Float[Tensor, "m d"]) -> float:
    """Compute the Frechet distance between two sets of features; lower is closer.

    The estimate is biased: two finite samples of one distribution have a distance above 0 that shrinks as 1 / n.
    Compare numbers only at equal sample counts, and state the counts with the result.
    """
    return frechet_distance_between(feature_statistics(first), feature_statistics(second))


def _factor(covariance: Tensor) -> Tensor:
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    return eigenvectors * eigenvalues.clamp_min(0).sqrt()


def perceptual_distance(first: Sequence[Tensor], second: Sequence[Tensor]) -> Float[Tensor, " b"]:
    """Compute the distance of two batches of videos from their activation maps, a list of `b t c h w` each.

    Channel vectors are scaled to unit length; the squared difference is averaged over positions and then over the
    layers, so it lies in [0, 4]; lower is closer. This is LPIPS without learned weights (Zhang et al. 2018, "The
    Unreasonable Effectiveness of Deep Features as a Perceptual Metric").
    """
    if not first or len(first) != len(second):
        raise InputError(
            f"perceptual_distance: needs equally many maps, at least 1, got {len(first)} and {len(second)}"
        )
    layers: list[Tensor] = []
    for layer, (a, b) in enumerate(zip(first, second, strict=True)):
        check_same_shape(f"perceptual_distance, layer {layer}", a, b)
        layers.append((_unit(a) - _unit(b)).square().sum(dim=2).mean(dim=(1, 2, 3)))
    return torch.stack(layers).mean(dim=0)


def _unit(maps: Tensor) -> Tensor:
    values = maps.float()
    return values / values.norm(dim=2, keepdim=True).clamp_min(1e-8)
