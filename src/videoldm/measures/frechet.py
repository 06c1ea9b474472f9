"""Frechet distance between two sets of features (Heusel et al. 2017 for FID; Unterthiner et al. 2018 for FVD)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from videoldm.core.errors import InputError


@dataclass(frozen=True, kw_only=True)
class FeatureStatistics:
    """What the Frechet distance needs to know of a set of features, in float64."""

    num_samples: int
    mean: Float[Tensor, " d"]
    covariance: Float[Tensor, "d d"]
    """With the unbiased divisor, num_samples - 1."""


def feature_statistics(features: Float[Tensor, "n d"]) -> FeatureStatistics:
    """Mean and unbiased covariance of at least two feature vectors."""
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
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), lower is closer.

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
    """Frechet distance between two sets of features.

    Not an unbiased estimate: two finite samples of one distribution are further apart than 0, by an amount that shrinks
    as 1 / n. Compare numbers only at equal sample counts, and state the counts with the result.
    """
    return frechet_distance_between(feature_statistics(first), feature_statistics(second))


def _factor(covariance: Tensor) -> Tensor:
    eigenvalues, eigenvectors = torch.linalg.eigh(covariance)
    return eigenvectors * eigenvalues.clamp_min(0).sqrt()
