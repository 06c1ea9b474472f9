"""Which kernel makes the optimizer's steps, and that a run may go on with another."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from toy_objective import ToyObjective, assert_close, toy_training

from videoldm.training import optimizer
from videoldm.training.config import OptimizerConfig
from videoldm.training.loop import train
from videoldm.training.state import Checkpoints, RunState, build_state

TRAINING = toy_training(num_samples=48, optimizer=OptimizerConfig(learning_rate=1e-2))


@pytest.mark.parametrize(
    ("devices", "is_fused"), [(["cuda", "cuda"], True), (["cpu", "cpu"], True), (["cuda", "cpu"], False)]
)
def test_one_device_makes_a_step_by_one_kernel(devices: list[str], *, is_fused: bool) -> None:
    """Tensors without data stand for those of a GPU, so that the test needs none."""
    with FakeTensorMode():
        module = nn.ParameterList([nn.Parameter(torch.empty(3, device=device)) for device in devices])
        built = optimizer.build_optimizer(module, OptimizerConfig(learning_rate=1e-3))
    assert [group["fused"] for group in built.param_groups] == [is_fused]


@pytest.mark.parametrize("began_fused", [False, True])
def test_run_goes_on_by_the_kernel_of_its_own_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, began_fused: bool
) -> None:
    """CPUs have both kernels, so that one machine stands for the two."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(ToyObjective(), TRAINING, whole)
    monkeypatch.setattr(optimizer, "_is_fused", lambda _: began_fused)
    train(ToyObjective(), TRAINING.model_copy(update={"num_samples": 24}), parts)
    monkeypatch.setattr(optimizer, "_is_fused", lambda _: not began_fused)
    resumed = restored(parts)
    assert (resumed.samples_seen, resumed.first.optimizer.param_groups[0]["fused"]) == (24, not began_fused)
    train(ToyObjective(), TRAINING, parts)
    ends = [one.first.module.state_dict() for one in map(restored, (whole, parts))]
    assert_close(*ends, tolerance=1e-12)


def restored(folder: Path) -> RunState:
    state = build_state(ToyObjective(), TRAINING)
    Checkpoints(folder / "checkpoints").load(state)
    return state
