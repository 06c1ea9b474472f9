"""Each mini recipe, shrunken, for 20 steps: its losses stay what they were, and what should learn does."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from tiny_model_folder import write_tiny_model
from tiny_networks import numbers, unet_inputs
from tiny_recipes import tiny, train_all

from videoldm.recipes.registry import RECIPES
from videoldm.training.stages.diffusion.config import DiffusionStage
from videoldm.training.stages.diffusion.start import set_trained, start_unet

GOLDEN = Path(__file__).parent / "recipe_losses.json"
"""See README.md beside it."""
TOLERANCE = 1e-4
SMALLEST_GRADIENT = 1e-8
ALIKE = ("mini-camera-zooming", "mini-camera-static")
"""They have other clips than mini-camera-horizontal, and nothing else."""
MINI = {name: make for name, make in RECIPES.items() if name.startswith("mini-") and name not in ALIKE}

pytestmark = pytest.mark.filterwarnings("ignore:prompt longer than")
Losses = Mapping[str, list[float]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Losses]:
    """The folder of all runs, and the losses of each."""
    folder = tmp_path_factory.mktemp("runs")
    return folder, train_all(MINI, folder, write_tiny_model(folder / "tiny"))


def test_losses_are_those_of_before(runs: tuple[Path, Losses]) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert runs[1] == {name: _expected(losses) for name, losses in golden.items()}


def test_recipes_without_losses_differ_in_their_clips_alone() -> None:
    for name in ALIKE:
        one, other = RECIPES[name](), RECIPES["mini-camera-horizontal"]()
        clips = {"data": other.stage.data, "validation": other.stage.validation}
        assert one.training == other.training
        assert one.stage.model_copy(update=clips) == other.stage != one.stage


def test_what_is_trained_has_a_gradient_and_what_is_frozen_none(runs: tuple[Path, Losses]) -> None:
    """After 3 steps, with a context of two tokens: frozen is what the recipe says, also where it could learn."""
    folder, _ = runs
    stages = {name: tiny(make(), folder, folder / "tiny").stage for name, make in MINI.items()}
    different = {
        (stage.unet, stage.trained, stage.model.task, stage.start.kind): (name, stage)
        for name, stage in stages.items()
        if isinstance(stage, DiffusionStage)
    }
    assert len(different) > 5
    for name, stage in different.values():
        unet = start_unet(stage).train()
        set_trained(unet, stage.trained, task=stage.model.task)
        trained = [parameter for parameter in unet.parameters() if parameter.requires_grad]
        optimizer = torch.optim.Adam(trained, lr=1e-2)
        inputs = unet_inputs(stage.unet, num_frames=stage.model.num_frames, height=4, width=4, num_tokens=2)
        target = numbers(*inputs[0].shape, stream="target")
        for _ in range(4):
            optimizer.zero_grad()
            (unet(*inputs) - target).square().mean().backward()
            optimizer.step()
        sizes = {key: _size(parameter) for key, parameter in unet.named_parameters() if parameter.requires_grad}
        assert sizes
        assert [key for key, size in sizes.items() if size <= SMALLEST_GRADIENT] == [], name
        assert all(parameter.grad is None for parameter in unet.parameters() if not parameter.requires_grad), name


def _size(parameter: torch.nn.Parameter) -> float:
    return 0.0 if parameter.grad is None else float(parameter.grad.abs().max())


def _expected(losses: list[float]) -> object:
    return pytest.approx(losses, rel=TOLERANCE)


def renew() -> None:
    """Write the losses of today for recipes whose losses are others, and say which these are."""
    with tempfile.TemporaryDirectory() as place:
        made = train_all(MINI, Path(place), write_tiny_model(Path(place) / "tiny"))
    golden = json.loads(GOLDEN.read_text())
    kept = {name: golden[name] for name in made if name in golden and made[name] == _expected(golden[name])}
    GOLDEN.write_text(json.dumps({name: kept.get(name, losses) for name, losses in made.items()}, indent=1) + "\n")
    print("new:", ", ".join(name for name in made if name not in kept) or "none")
    print("gone:", ", ".join(name for name in golden if name not in made) or "none")


if __name__ == "__main__":
    renew()
