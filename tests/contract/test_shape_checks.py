"""The run-time shape checks that every other test relies on do find wrong shapes."""

from __future__ import annotations

from typing import Protocol, Self

import pytest
import torch
from jaxtyping import Float, TypeCheckError, jaxtyped
from shape_checks import check_shapes
from torch import Tensor

import videoldm.core.random


class _Weight(Protocol):
    def __call__(self, sigma: float) -> float: ...


class _Sampler:
    def step(self, x: Float[Tensor, "b c"], sigma: Float[Tensor, " b"], weight: _Weight) -> Float[Tensor, "b c"] | None:
        return None if weight(0.0) == 0 else x[:, : int(weight(0.0))] * sigma[:, None]

    def itself(self) -> Self:
        return self


_step = jaxtyped(_Sampler.step, typechecker=check_shapes)


def test_right_shapes_pass() -> None:
    assert _step(_Sampler(), torch.ones(2, 3), torch.ones(2), lambda sigma: 3) is not None
    assert _step(_Sampler(), torch.ones(2, 3), torch.ones(2), lambda sigma: 0) is None


def test_wrong_argument_is_found() -> None:
    with pytest.raises(TypeCheckError, match="parameters"):
        _step(_Sampler(), torch.ones(2, 3), torch.ones(3), lambda sigma: 3)


def test_wrong_result_is_found() -> None:
    with pytest.raises(TypeCheckError, match="return value"):
        _step(_Sampler(), torch.ones(2, 3), torch.ones(2), lambda sigma: 2)


def test_functions_without_shapes_are_left_alone() -> None:
    assert check_shapes(_Sampler.itself) is _Sampler.itself


def test_the_package_is_hooked() -> None:
    assert hasattr(videoldm.core.random.generator, "__wrapped__")
