"""Norms of gradients in groups, and the limit on them, against torch's own."""

import copy

import pytest
import torch
from torch import nn

from videoldm.core.random import normal
from videoldm.training.step import fill_missing, gradient_norms, limit


@pytest.mark.parametrize("greatest", [0.5, 100.0])
def test_norms_and_limit(greatest: float) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    other = copy.deepcopy(module)
    for one in (module, other):
        for position, parameter in enumerate(one.parameters()):
            parameter.grad = normal(tuple(parameter.shape), 0, "gradient", position)
    whole = float(nn.utils.clip_grad_norm_(other.parameters(), greatest))
    parameters = dict(module.named_parameters())
    norms = gradient_norms(parameters, lambda name: "first" if name.startswith("0.") else "second")
    limit(parameters.values(), norms[""], greatest)
    assert norms[""] == pytest.approx(whole)
    assert norms[""] == pytest.approx((norms["first"] ** 2 + norms["second"] ** 2) ** 0.5)
    for name, parameter in other.named_parameters():
        torch.testing.assert_close(parameters[name].grad, parameter.grad, rtol=1e-5, atol=0)


def test_unused_parameters_have_gradient_zero() -> None:
    module = nn.Linear(2, 2)
    fill_missing(module.parameters())
    assert all(float(parameter.grad.abs().sum()) == 0 for parameter in module.parameters())
