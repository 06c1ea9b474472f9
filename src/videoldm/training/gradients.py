"""Gradients of a step: their norms, in groups and together, and the limit on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from videoldm.core import ranks
from videoldm.training.distributed import is_sharded, local


def fill_missing(parameters: Iterable[Tensor]) -> None:
    """Give a parameter that the batch did not use the gradient zero, so that it counts steps as the others do."""
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)


def gradient_norms(parameters: dict[str, Tensor], group_of: Callable[[str], str]) -> dict[str, float]:
    """The norm of each group's gradient, and of all together as the one called ''."""
    groups: dict[str, list[Tensor]] = {}
    for name, parameter in parameters.items():
        assert parameter.grad is not None
        groups.setdefault(group_of(name), []).append(local(parameter.grad))
    squares = torch.stack([get_total_norm(groups[name]).double().square() for name in sorted(groups)])
    if is_sharded(parameters.values()):
        squares = ranks.summed(squares)
    squares = squares.cpu()
    return {"": float(squares.sum().sqrt())} | dict(zip(sorted(groups), squares.sqrt().tolist(), strict=True))


def limit(parameters: Iterable[Tensor], norm: float, greatest: float) -> None:
    """Scale a gradient of this norm down to the greatest that is allowed."""
    if norm <= greatest:
        return
    gradients = [local(parameter.grad) for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, greatest / norm)  # pyright: ignore[reportPrivateUsage] - one launch for all
