"""Frechet distance against scipy's matrix square root, and the perceptual distance."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from videoldm.core.errors import InputError
from videoldm.measures.feature_distances import (
    feature_statistics,
    frechet_distance,
    frechet_distance_between,
    perceptual_distance,
)


def _features(num: int, width: int, *, seed: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator)
    return torch.randn(num, width, generator=generator) @ mixing + shift


def _reference(first: Tensor, second: Tensor) -> float:
    a, b = first.double().numpy(), second.double().numpy()
    c1, c2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(c1 @ c2)
    gap = a.mean(axis=0) - b.mean(axis=0)
    return float(gap @ gap + np.trace(c1 + c2 - 2 * np.real(root)))


def test_frechet_distance_equals_the_formula_with_scipy_sqrtm() -> None:
    first, second = _features(400, 12, seed=0), _features(300, 12, seed=1, shift=0.5)
    assert frechet_distance(first, second) == pytest.approx(_reference(first, second), rel=1e-8)


def test_frechet_distance_of_known_gaussians() -> None:
    # Columns scaled by s and moved by m: sum of m^2 + (s - 1)^2 * variance, exactly, for any sample.
    first = _features(200, 3, seed=2)
    first = (first - first.mean(0)) @ torch.linalg.inv(torch.linalg.cholesky(first.T.cov())).T
    second = first * torch.tensor([1.0, 2.0, 3.0]) + torch.tensor([1.0, 0.0, 2.0])
    assert frechet_distance(first, second) == pytest.approx(1 + 4 + 1 + 4, rel=1e-5)


def test_frechet_distance_is_safe_with_fewer_samples_than_dimensions() -> None:
    first, second = _features(10, 64, seed=3), _features(12, 64, seed=4)
    distance = frechet_distance(first, second)
    exact = _low_rank_reference(first, second)
    assert distance == pytest.approx(exact, rel=1e-6)
    assert frechet_distance(first, first) == pytest.approx(0.0, abs=1e-5 * float(first.T.cov().trace()))


def _low_rank_reference(first: Tensor, second: Tensor) -> float:
    """The same trace from the samples themselves: the nuclear norm of A B^T for centred, scaled A and B."""
    a, b = first.double().numpy(), second.double().numpy()
    gap = a.mean(axis=0) - b.mean(axis=0)
    a = (a - a.mean(axis=0)) / np.sqrt(len(a) - 1)
    b = (b - b.mean(axis=0)) / np.sqrt(len(b) - 1)
    singular = scipy.linalg.svdvals(a @ b.T)
    return float(gap @ gap + (a * a).sum() + (b * b).sum() - 2 * singular.sum())


def test_frechet_distance_shrinks_with_the_sample_as_its_docstring_warns() -> None:
    def between_halves(num: int) -> float:
        features = torch.randn(2 * num, 8, generator=torch.Generator().manual_seed(5))
        return frechet_distance(features[:num], features[num:])

    assert between_halves(50) > 4 * between_halves(1000) > 0


def test_unusable_features_are_refused() -> None:
    with pytest.raises(InputError, match="n >= 2"):
        feature_statistics(torch.zeros(1, 4))
    with pytest.raises(InputError, match="NaN"):
        feature_statistics(torch.tensor([[0.0, float("nan")], [1.0, 2.0]]))
    four, five = feature_statistics(torch.zeros(3, 4)), feature_statistics(torch.zeros(3, 5))
    with pytest.raises(InputError, match="different lengths"):
        frechet_distance_between(four, five)


def test_perceptual_distance_of_orthogonal_opposite_and_scaled_maps() -> None:
    first = torch.zeros(3, 2, 2, 4, 4)
    first[:, :, 0] = 1.0
    second = torch.zeros_like(first)
    second[0, :, 1] = 5.0
    second[1, :, 0] = -2.0
    second[2, :, 0] = 7.0
    torch.testing.assert_close(perceptual_distance([first], [second]), torch.tensor([2.0, 4.0, 0.0]))
    torch.testing.assert_close(perceptual_distance([first, first], [second, first]), torch.tensor([1.0, 2.0, 0.0]))


def test_perceptual_distance_refuses_lists_that_do_not_match() -> None:
    maps = torch.zeros(1, 2, 2, 4, 4)
    with pytest.raises(InputError, match="equally many"):
        perceptual_distance([maps], [])
    with pytest.raises(InputError, match="layer 1"):
        perceptual_distance([maps, maps], [maps, maps[:, :1]])
