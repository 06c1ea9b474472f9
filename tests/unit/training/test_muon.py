"""Muon beside torch's own, which takes matrices alone, and in a run."""

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from toy_objective import ToyObjective, assert_close, toy_training

from videoldm.training.config import ExecutionConfig, Muon, OptimizerConfig, Sharded, TrainingConfig
from videoldm.training.loop import train
from videoldm.training.muon import orthogonalised
from videoldm.training.optimizer import build_optimizer
from videoldm.training.state import Checkpoints, build_state

RATE, DECAY = 0.01, 0.1
CONFIG = OptimizerConfig(learning_rate=RATE, algorithm=Muon(weight_decay=DECAY))
SHAPES = [(8, 12), (12, 8), (8, 12), (6, 4, 3, 3)]


def trained(optimizers: list[torch.optim.Optimizer], weights: list[nn.Parameter], *, num_steps: int = 3) -> None:
    """Step along the same random gradients."""
    generator = torch.Generator().manual_seed(5)
    for _ in range(num_steps):
        for weight in weights:
            weight.grad = torch.randn(weight.shape, generator=generator)
        for optimizer in optimizers:
            optimizer.step()


def weights_of(shapes: list[tuple[int, ...]]) -> list[nn.Parameter]:
    generator = torch.Generator().manual_seed(3)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def test_matrices_and_kernels_move_as_with_torchs_own() -> None:
    """Its kernels are given to it as matrices."""
    ours, theirs = weights_of(SHAPES), weights_of(SHAPES)
    trained([build_optimizer(nn.ParameterList(ours), CONFIG)], ours)
    flat = [nn.Parameter(weight.detach().flatten(1).clone()) for weight in theirs]
    reference = torch.optim.Muon(flat, lr=RATE, weight_decay=DECAY, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    trained([reference], flat)
    for mine, its, start in zip(ours, flat, theirs, strict=True):
        moved, expected = ((one.detach().flatten(1) - start.detach().flatten(1)) for one in (mine, its))
        assert float((moved - expected).norm() / expected.norm()) < 0.05  # both iterate in 16 bits


def test_biases_scales_and_tables_move_as_with_adamw() -> None:
    module = nn.ModuleDict({"table": nn.Embedding(5, 4), "norm": nn.LayerNorm(4)})
    ours = [nn.Parameter(one.detach().clone()) for one in module.parameters()]
    reference = torch.optim.AdamW(ours, lr=RATE, betas=(0.9, 0.99), weight_decay=DECAY)
    trained([build_optimizer(module, CONFIG)], list(module.parameters()))
    trained([reference], ours)
    for mine, its in zip(module.parameters(), ours, strict=True):
        torch.testing.assert_close(mine, its)


@pytest.mark.parametrize("shape", [(2, 16, 24), (1, 24, 16)])
def test_singular_values_come_near_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 7
    values = torch.linalg.svdvals(orthogonalised(matrices).float())
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3


def test_weights_without_a_gradient_stay() -> None:
    (weight,) = weights_of([(4, 4)])
    before = weight.detach().clone()
    build_optimizer(nn.ParameterList([weight]), CONFIG).step()
    assert torch.equal(weight, before)


def test_an_interrupted_run_ends_the_same(tmp_path: Path) -> None:
    training = toy_training(num_samples=48, optimizer=CONFIG)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(ToyObjective(), training, whole)
    train(ToyObjective(), training.model_copy(update={"num_samples": 24}), parts)
    train(ToyObjective(), training, parts)
    ends = []
    for folder in (whole, parts):
        state = build_state(ToyObjective(), training)
        Checkpoints(folder / "checkpoints").load(state)
        ends.append(state.first.module.state_dict())
    assert_close(*ends, tolerance=1e-12)


def test_shards_are_refused() -> None:
    sharded = toy_training(optimizer=CONFIG, execution=ExecutionConfig(distributed=Sharded()))
    with pytest.raises(ValidationError, match="muon needs whole matrices"):
        TrainingConfig.model_validate(sharded.model_dump())
