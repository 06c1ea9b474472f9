"""Blocks whose activations are computed again on the way back instead of kept (activation checkpointing)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute(blocks: Iterable[nn.Module]) -> None:
    """Let blocks keep only their inputs; no name of a parameter changes."""
    for block in blocks:
        block.forward = _Recomputed(block.forward)  # not the call: the hooks of FSDP stay outside


class _Recomputed:
    """A forward pass that keeps only its inputs and runs again on the way back."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._forward(*arguments, **named)
        return checkpoint(self._forward, *arguments, use_reentrant=False, **named)
