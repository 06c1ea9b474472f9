"""A stage that is defined in this file alone does everything that the stages of the package do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pytest
import torch
import yaml
from command_line import CommandLine
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from videoldm.core.config import from_yaml, to_yaml
from videoldm.core.random import normal, seeded_initialisation
from videoldm.training.config import OptimizerConfig, TrainingConfig
from videoldm.training.objective import Losses, Objective, Player
from videoldm.training.recipe import Recipe
from videoldm.training.stages import stage as registry
from videoldm.training.stages.places import OwnPictures, StageInput
from videoldm.training.stages.stage import ParameterCount, Stage, count_parameters, register_stage

WIDTH = 3


class LineStage(Stage):
    """A linear layer that learns to multiply by the number in a file."""

    kind: Literal["line"] = "line"  # pyright: ignore[reportIncompatibleVariableOverride]
    factor_file: str
    bias: bool = True

    def objective(self, *, seed: int, cache: Path, device: str = "cpu") -> LineObjective:
        """Build the layer."""
        del cache
        return LineObjective(self, seed=seed, device=device)

    def parameter_counts(self) -> Mapping[str, ParameterCount]:
        """Count the layer's."""
        layer = nn.Linear(WIDTH, WIDTH, bias=self.bias)
        return count_parameters(("layer", parameter) for parameter in layer.parameters())

    def folders(self) -> Sequence[StageInput]:
        """The file."""
        return [StageInput("stage.factor_file", Path(self.factor_file))]

    def check_training(self, training: TrainingConfig) -> None:
        """Allow no other precision."""
        super().check_training(training)
        if training.precision != "float32":
            raise ValueError("precision is bfloat16, a line is learned in float32")

    @property
    def pipeline_tag(self) -> str:
        """Of no use to the hub, but in the card."""
        return "lines"


class LineObjective(Objective):
    """See `LineStage`; it breaks down at the sample `crash_at`."""

    crash_at: int | None = None

    def __init__(self, stage: LineStage, *, seed: int, device: str) -> None:
        self._seed, self._factor = seed, float(Path(stage.factor_file).read_text())
        with seeded_initialisation(seed, "line"):
            self.layer = nn.Linear(WIDTH, WIDTH, bias=stage.bias).to(device)

    @property
    def players(self) -> list[Player]:
        """The layer."""
        return [Player("line", self.layer, self.losses, blocks=[self.layer])]

    def losses(self, positions: Sequence[int]) -> Losses:
        """Squared error."""
        if self.crash_at in positions:
            raise KeyboardInterrupt
        numbers = torch.stack([normal((WIDTH,), self._seed, "numbers", position) for position in positions])
        return Losses(per_sample=(self.layer(numbers) - self._factor * numbers).square().mean(1))

    def validate(self, folder: Path) -> dict[str, float]:
        """The loss of other numbers."""
        (folder / "seen.txt").write_text("seen")
        return {"loss": float(self.losses(range(1_000, 1_008)).per_sample.mean())}

    def export(self, folder: Path) -> None:
        """Write the layer."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.layer.state_dict(), folder / "model.safetensors")


@pytest.fixture(autouse=True)
def line_stage() -> Generator[None]:
    """Registers the stage for the tests of this file; elsewhere `@register_stage` stands above the class."""
    register_stage(LineStage)
    yield
    del registry._STAGES["line"]


@pytest.fixture
def recipe(cli: CommandLine) -> Generator[Recipe]:
    """A run of 4 steps; its YAML lies in the folder that the command line is in."""
    made = Recipe(
        name="line",
        summary="a line",
        stage=LineStage(factor_file="factor.txt"),
        training=TrainingConfig(
            num_samples=16,
            batch_size=4,
            optimizer=OptimizerConfig(learning_rate=0.1),
            log_every_samples=4,
            validate_every_samples=8,
            checkpoint_every_samples=8,
        ),
    )
    Path("line.yaml").write_text(to_yaml(made))
    Path("factor.txt").write_text("2")
    yield made
    LineObjective.crash_at = None


def weights(run: str) -> dict[str, Tensor]:
    return load_file(Path(run, "export/model.safetensors"))


def test_recipe_is_printed_and_read_back(cli: CommandLine, recipe: Recipe) -> None:
    printed = cli.succeeds("train", "line.yaml", "stage.bias=false", "--print-config")
    assert yaml.safe_load(printed)["stage"] == {"kind": "line", "factor_file": "factor.txt", "bias": False}
    read = from_yaml(Recipe, printed)
    assert read.stage == LineStage(factor_file="factor.txt", bias=False)
    assert read.model_copy(update={"stage": recipe.stage}) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ("stage.kind=lines", "line.yaml: stage has kind 'lines', should be one of 'autoencoder', 'diffusion',"),
        ("stage.bais=false", "line.yaml: stage.bais is not a known key, did you mean bias"),
        ("stage.bias=maybe", "line.yaml: stage.bias is 'maybe', should be true or false"),
        ("training.precision=bfloat16", "line.yaml: precision is bfloat16, a line is learned in float32"),
        ("stage.factor_file=none", "stage.factor_file is 'none', there is no such folder"),
    ],
)
def test_wrong_values_are_named(cli: CommandLine, recipe: Recipe, change: str, line: str) -> None:
    assert cli.refuses("train", "line.yaml", change).startswith(line)


def test_dry_run(cli: CommandLine, recipe: Recipe) -> None:
    lines = cli.succeeds("train", "line.yaml", "--dry-run").splitlines()
    assert lines[:2] == ["line: a line", "16 samples in 4 steps of 4 would be trained in runs/line"]
    assert [line.split() for line in lines[2:5]] == [
        ["parameters", "trained", "frozen"],
        ["layer", "12", "0"],
        ["all", "12", "0"],
    ]
    assert lines[5:] == ["memory of a step is not forecast: so far it is for stages that denoise"]
    assert not Path("runs").exists()


def test_run_is_logged_validated_and_exported(cli: CommandLine, recipe: Recipe) -> None:
    assert cli.succeeds("train", "line.yaml") == "runs/line/export\n"
    assert from_yaml(Recipe, Path("runs/line/config.yaml").read_text()) == recipe
    records = [json.loads(line) for line in Path("runs/line/log.jsonl").read_text().splitlines()]
    losses = [record["validation/loss"] for record in records if "validation/loss" in record]
    assert len(losses) == 2
    assert losses[1] < losses[0]
    assert Path("runs/line/validation/000000000016/seen.txt").is_file()
    assert set(weights("runs/line")) == {"weight", "bias"}
    card = Path("runs/line/export/README.md").read_text()
    assert "tags:\n- line\npipeline_tag: lines\n" in card
    assert "read from `stage.factor_file`" in card


def test_interrupted_run_resumes_exactly(cli: CommandLine, recipe: Recipe) -> None:
    cli.succeeds("train", "line.yaml", "-o", "whole")
    LineObjective.crash_at = 12
    assert cli("train", "line.yaml", "-o", "halves").code == 130
    assert Path("halves/checkpoints/000000000008").is_dir()
    LineObjective.crash_at = None
    cli.succeeds("train", "line.yaml", "-o", "halves")
    assert all(torch.equal(weights("whole")[name], weight) for name, weight in weights("halves").items())


def test_run_does_not_resume_with_another_input(cli: CommandLine, recipe: Recipe) -> None:
    cli.succeeds("train", "line.yaml")
    shutil.rmtree("runs/line/export")
    Path("factor.txt").write_text("3")
    line = cli.refuses("train", "line.yaml")
    assert line.startswith(
        "runs/line: its run began with other files in factor.txt (stage.factor_file): bring them back"
    )


def test_inputs_that_a_user_brings_are_checked(tmp_path: Path) -> None:
    missing, empty = OwnPictures("stage.some", tmp_path / "none"), OwnPictures("stage.some", tmp_path)
    with pytest.raises(Exception, match=r"there is no such folder: put pictures there, or give stage.some=FOLDER"):
        missing.check()
    with pytest.raises(Exception, match="is a folder without pictures"):
        empty.check()
