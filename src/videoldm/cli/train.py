"""`videoldm train`: one run of a recipe."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from videoldm.cli.options import OPTIONS, Verb
from videoldm.core import ranks
from videoldm.core.config import Config, apply_overrides, to_yaml
from videoldm.core.errors import InputError, Interrupted
from videoldm.inference.device import find_device
from videoldm.recipes.registry import LISTING, RECIPES, find_recipe
from videoldm.training.config import LONGEST_PROFILE
from videoldm.training.recipe import Recipe

DESCRIPTION = """Train a model by a recipe. After an interruption, the same command resumes.

examples:
  videoldm train --list
  videoldm train mini-autoencoder
  videoldm train svd-image-to-video-576x1024 --dry-run
  videoldm train mini-video training.num_samples=65536 training.optimizer.learning_rate=5e-4 -o runs/longer
  videoldm train mini-video --print-config > mine.yaml
  videoldm train mine.yaml
  torchrun --nproc-per-node 8 -m videoldm.cli.main train mini-video training.execution.distributed.kind=sharded
"""
RUNS = Path("runs")


class TrainOptions(Config):
    """The run, changes to it, and the folder that it is written to."""

    model_config = OPTIONS

    recipe: tyro.conf.Positional[Annotated[str | None, tyro.conf.arg(metavar="RECIPE|FILE.yaml")]] = None
    """Name of a recipe, or a YAML file as --print-config writes it."""
    overrides: tyro.conf.Positional[Annotated[tuple[str, ...], tyro.conf.arg(metavar="key.path=value")]] = ()
    """Changes to the recipe."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = None
    """Folder of the run: its configuration, log, checkpoints and exported weights. Without it, runs/RECIPE."""
    cache: Annotated[str, tyro.conf.arg(metavar="FOLDER")] = str(RUNS / "cache")
    """Folder for rendered clips and encoded latents, shared by all runs."""
    device: str | None = None
    """cpu, cuda or cuda:NUMBER; without it, the GPU if there is one."""
    list_: Annotated[bool, tyro.conf.arg(name="list")] = False
    """List the recipes."""
    print_config: bool = False
    """Print the complete configuration as YAML instead of training."""
    export_average: Annotated[float | None, tyro.conf.arg(metavar="LENGTH")] = None
    """Export another moving average of a finished run instead of training: its length, 0 to 0.28, as a share of all
    samples. The run must have kept snapshots (training.average.kind=power)."""
    dry_run: bool = False
    """Count parameters, forecast memory and check folders instead of training."""


def run(options: TrainOptions) -> None:
    """List recipes, print or check a run, or train."""
    if options.list_:
        list_recipes()
        return
    if options.recipe is None:
        raise InputError(f"a recipe is missing: give its name or a YAML file, {LISTING}")
    recipe = apply_overrides(find_recipe(options.recipe), options.overrides, source=options.recipe)
    if options.print_config:
        print(to_yaml(recipe), end="")
        return
    if ranks.world_size() > 1:
        # DDP warns of a search for unused layers that we have asked for; it reads this when torch is imported.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    folder, cache = Path(options.output or RUNS / recipe.name), Path(options.cache)
    device = find_device(options.device)
    if options.export_average is not None:
        export_average(recipe, folder, cache, options.export_average, device=device)
    elif options.dry_run:
        check_only(recipe, folder, cache)
    else:
        train(recipe, folder, cache, device=device)


def list_recipes() -> None:
    """Print name and summary of each recipe, grouped by what they train; those of published size first."""
    groups: dict[str, list[Recipe]] = {}
    for function in RECIPES.values():
        recipe = function()
        groups.setdefault(recipe.stage.listed_under, []).append(recipe)
    width = max(map(len, RECIPES))
    for subject, recipes in groups.items():
        print(subject)
        for recipe in sorted(recipes, key=_is_mini):
            print(f"  {recipe.name:<{width}}  {'mini ' if _is_mini(recipe) else 'paper'}  {recipe.summary}")


def check_only(recipe: Recipe, folder: Path, cache: Path) -> None:
    """Print what would be trained and what it would take; raise InputError for what would stop it."""
    from videoldm.training.dry_run import preview, rendering, steps_line
    from videoldm.training.folder import is_finished
    from videoldm.training.run import check

    print(f"{recipe.name}: {recipe.summary}")
    if is_finished(recipe, folder):
        print(f"{folder}: this run is finished, nothing would be trained")
        return
    print(f"{steps_line(recipe)} would be trained in {folder}")
    for line in [*preview(recipe), *rendering(recipe.stage, cache)]:
        print(line)
    check(recipe, folder, cache)


def _is_mini(recipe: Recipe) -> bool:
    return recipe.name.startswith("mini-")


def export_average(recipe: Recipe, folder: Path, cache: Path, length: float, *, device: str) -> None:
    """Export an average of that length; raise InputError if the length or the run does not allow it."""
    from videoldm.training import run

    if not 0 < length <= LONGEST_PROFILE:
        raise InputError(f"--export-average is {length}, should be above 0 and at most {LONGEST_PROFILE}")
    print(run.export_average(recipe, folder, cache, length, device=device))


def train(recipe: Recipe, folder: Path, cache: Path, *, device: str) -> None:
    """Run a recipe; raise InputError, FloatingPointError if it diverges, Interrupted with how to resume."""
    from videoldm.training.run import run

    try:
        export = run(recipe, folder, cache, device=device)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; the same command resumes from the last checkpoint") from None
    if ranks.is_first():
        print(export)


class _TrainVerb(Verb[TrainOptions]):
    """Verb whose overrides may be typed with hyphens before them, as options are."""

    def read(self, words: Sequence[str]) -> TrainOptions:
        """Parse the words, with the hyphens before overrides removed."""
        return super().read([word.removeprefix("--") if _is_override(word) else word for word in words])


def _is_override(word: str) -> bool:
    key, sign, _ = word.partition("=")
    return bool(sign) and "." in key


VERB = _TrainVerb(
    name="train", options=TrainOptions, run=run, description=DESCRIPTION, positional=("recipe",), rest="overrides"
)
