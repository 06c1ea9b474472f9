"""Muon: momentum whose matrices are orthogonalised before each step (arXiv 2502.16982)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import AdamW

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NUM_ITERATIONS = 5
RMS_OF_ADAMW = 0.2
"""Root mean square of a typical update by AdamW, which an orthogonal one is scaled to (section 2.2)."""
MOST_TOGETHER = 2**20
"""Numbers in the matrices that are orthogonalised together."""


class MuonAdamW(AdamW):
    """Muon on weights of two axes and more, kernels of convolutions as matrices of output by input; AdamW on the rest.

    Updates are as large as AdamW's, so its learning rates hold. Embedding tables belong to the rest.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        lr: float,
        momentum: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        matrices, rest = _matrices_and_rest(module)
        groups = [
            {"params": matrices, "momentum": momentum},
            {"params": rest, "momentum": None},
        ]
        super().__init__(
            [group for group in groups if group["params"]], lr=lr, betas=betas, eps=eps, weight_decay=weight_decay
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Make one step; gradients of None are left out."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if group["momentum"] is None]
        try:
            loss = cast("float | None", super().step(closure))
        finally:
            self.param_groups = groups
        for group in groups:
            if group["momentum"] is not None:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        """Move matrices of one shape together."""
        for weights in _alike(weight for weight in group["params"] if weight.grad is not None):
            updates = torch.stack([self._with_momentum(weight, group["momentum"]).flatten(1) for weight in weights])
            scale = RMS_OF_ADAMW * max(updates.shape[1:]) ** 0.5
            for weight, update in zip(weights, orthogonalised(updates), strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.sub_(update.view_as(weight).to(weight.dtype) * (group["lr"] * scale))

    def _with_momentum(self, weight: Tensor, momentum: float) -> Tensor:
        """Return Nesterov's momentum of a weight's gradient."""
        state, gradient = self.state[weight], cast("Tensor", weight.grad)
        if not state:
            state["momentum"] = torch.zeros_like(weight)
            state["step"] = torch.tensor(0.0)  # AdamW expects one in every state that it restores
        average = state["momentum"].lerp_(gradient, 1 - momentum)
        return gradient.lerp(average, momentum)


def orthogonalised(matrices: Float[Tensor, "n rows columns"]) -> Float[Tensor, "n rows columns"]:
    """Return matrices with the same singular vectors and singular values near 1, by Newton-Schulz in 16 bits."""
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices.shape[1] > matrices.shape[2]
    x = (matrices.mT if is_tall else matrices).bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if is_tall else x


def _alike(weights: Iterable[Tensor]) -> Iterator[Sequence[Tensor]]:
    """Yield weights of one shape as matrices, as many at a time as need little memory beside them."""
    by_shape: dict[torch.Size, list[Tensor]] = defaultdict(list)
    for weight in weights:
        by_shape[weight.flatten(1).shape].append(weight)
    for shape, of_shape in by_shape.items():
        size = max(1, MOST_TOGETHER // shape.numel())
        yield from (of_shape[start : start + size] for start in range(0, len(of_shape), size))


def _matrices_and_rest(module: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split the trainable parameters."""
    tables = {id(one.weight) for one in module.modules() if isinstance(one, nn.Embedding)}
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in module.parameters():
        if parameter.requires_grad:
            is_matrix = parameter.ndim >= 2 and id(parameter) not in tables
            (matrices if is_matrix else rest).append(parameter)
    return matrices, rest
