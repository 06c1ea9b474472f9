"""Networks over several processes: replicated (DDP) or sharded block by block (FSDP2).

Both average gradients over the processes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, assert_never, cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import CPUOffloadPolicy, FSDPModule, MixedPrecisionPolicy, OffloadPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

from videoldm.core.errors import InputError
from videoldm.core.ranks import world_size
from videoldm.training.compilation import compile_parts
from videoldm.training.config import ExecutionConfig, Replicated, Sharded
from videoldm.training.objective import Player

T = TypeVar("T")


class FunctionCaller(nn.Module):
    """Calls functions that use a network as its forward pass, so that wrappers of this module see each use."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, function: Callable[[], Any]) -> Any:
        """Return what `function` does; wrappers find tensors in nested tuples, lists and dicts only."""
        return function()


def distribute(player: Player, config: ExecutionConfig, *, precision: torch.dtype, device: torch.device) -> nn.Module:
    """Prepare a player's network in place; return the module through which functions that use it are called."""
    _transform_blocks(player, config, device)
    caller = FunctionCaller(player.module)
    match config.distributed:
        case Replicated():
            return _replicated(caller, device) if world_size() > 1 else caller
        case Sharded(offload=offload):
            mesh = init_device_mesh(device.type, (world_size(),))
            # On CPUs autocast alone decides on precision: there is no memory traffic to save.
            low = precision if device.type == "cuda" and precision != torch.float32 else None
            policy = MixedPrecisionPolicy(
                param_dtype=low, reduce_dtype=torch.float32 if low else None, cast_forward_inputs=False
            )
            place = CPUOffloadPolicy(pin_memory=device.type == "cuda") if offload == "cpu" else OffloadPolicy()
            for part in (*player.blocks, caller):
                sharded = fully_shard(part, mesh=mesh, mp_policy=policy, offload_policy=place)
                sharded.set_force_sum_reduction_for_comms(True)  # gloo cannot average
            return caller
        case _:
            assert_never(config.distributed)


def synchronised(called: nn.Module, *, when: bool) -> AbstractContextManager[None]:
    """Exchange gradients within the context, or only add them up where this is not the last part of a batch."""
    if isinstance(called, DistributedDataParallel):
        return nullcontext() if when else called.no_sync()
    if isinstance(called, FSDPModule):
        called.set_requires_gradient_sync(when)
    return nullcontext()


def evaluated(called: nn.Module, function: Callable[[], T], *, precision: torch.dtype, device: torch.device) -> T:
    """Return what `function`, which computes no gradients, gives where the whole network is at hand.

    Replicas compute in full precision; shards come together in that of training.
    """
    if not isinstance(called, FSDPModule):
        return function()
    try:
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            return called(function)
    finally:
        called.reshard()


def is_sharded(tensors: Iterable[Tensor]) -> bool:
    """Whether each process holds only a part of these tensors."""
    return any(isinstance(tensor, DTensor) for tensor in tensors)


def local(tensor: Tensor) -> Tensor:
    """Return the part of a tensor that this process holds."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Return all of a tensor, on the CPU; every process has to call it."""
    return (tensor.full_tensor() if isinstance(tensor, DTensor) else tensor).detach().cpu()


def blueprint(module: nn.Module) -> nn.Module:
    """Return a copy of a network without memory for its parameters, which `unwrap` fills."""
    empty = {id(p): nn.Parameter(p.detach().to("meta"), requires_grad=p.requires_grad) for p in module.parameters()}
    return copy.deepcopy(module, dict(empty))


def whole_weights(module: nn.Module) -> dict[str, Tensor]:
    """Return all weights of a sharded network on the CPU of the first process, nothing in the others."""
    weights = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return cast("dict[str, Tensor]", weights)


def unwrap(module: nn.Module, plain: nn.Module, weights: dict[str, Tensor], device: torch.device) -> None:
    """Turn a sharded network into an ordinary one with these weights, in place: it becomes its blueprint."""
    plain.load_state_dict({name: weight.to(device) for name, weight in weights.items()}, assign=True)
    module.__class__, module.__dict__ = type(plain), plain.__dict__


def _replicated(caller: FunctionCaller, device: torch.device) -> DistributedDataParallel:
    # A batch may leave layers unused, as one of pictures does those along time. And without this flag, gradients are
    # regrouped after the first step, so that a resumed run would add them up in another order.
    return DistributedDataParallel(
        caller,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=True,
        gradient_as_bucket_view=True,
    )


def _transform_blocks(player: Player, config: ExecutionConfig, device: torch.device) -> None:
    """Compile and recompute blocks as configured; no name of a parameter changes."""
    for key in ("recompute", "compile"):
        if getattr(config, key) == "blocks" and not player.blocks:
            raise InputError(f"training.execution.{key} is blocks, but this stage's {player.name} has none: give none")
    if config.compile == "blocks":
        compile_parts(player.blocks, device)
    if config.recompute == "blocks":
        recompute(player.blocks)


def recompute(blocks: Iterable[nn.Module]) -> None:
    """Let blocks keep only their inputs and compute activations again in the backward pass (checkpointing)."""
    for block in blocks:
        block.forward = _Recomputed(block.forward)  # not the call: the hooks of FSDP stay outside


class _Recomputed:
    """Forward pass that keeps only its inputs and runs again in the backward pass."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not torch.is_grad_enabled():
            return self._forward(*arguments, **named)
        return checkpoint(self._forward, *arguments, use_reentrant=False, **named)
