"""Loss curves of the video stage from the image model and from random weights, at equal numbers of video samples.

    videoldm train mini-video && videoldm train mini-video-from-scratch
    python benchmarks/image_start.py runs/mini-video runs/mini-video-from-scratch

Both runs must have the same settings but for their start. Prints the training loss (mean since the row before) and,
where it was measured, the validation loss at fixed noise.
"""

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from videoldm.core.config import from_yaml
from videoldm.training.layout import CONFIG_FILE, LOG_FILE
from videoldm.training.recipe import Recipe
from videoldm.training.stages.config import DiffusionStage, FromScratch

ROWS = 16


def main() -> None:
    """Print the curves side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs=2, type=Path)
    folders: list[Path] = parser.parse_args().runs
    check_comparable(folders)
    training = [curve(folder, "loss") for folder in folders]
    validation = [curve(folder, "validation/loss") for folder in folders]
    table = Table("samples", *[f"{folder.name}: {kind}" for folder in folders for kind in ("loss", "validation")])
    for samples in thinned(sorted(training[0].keys() & training[1].keys()), keep=validation[0].keys()):
        cells = [show(c.get(samples)) for pair in zip(training, validation, strict=True) for c in pair]
        table.add_row(f"{samples:,}", *cells)
    Console().print(table)


def check_comparable(folders: Sequence[Path]) -> None:
    """Stop if the runs differ in more than where they start from."""
    settings: list[Recipe] = []
    for folder in folders:
        recipe = from_yaml(Recipe, (folder / CONFIG_FILE).read_text(), source=str(folder / CONFIG_FILE))
        assert isinstance(recipe.stage, DiffusionStage), f"{folder} is no run of a diffusion stage"
        stage = recipe.stage.model_copy(update={"start": FromScratch()})
        settings.append(recipe.model_copy(update={"name": "", "summary": "", "stage": stage}))
    if settings[0] != settings[1]:
        sys.exit(f"{folders[0]} and {folders[1]} differ in more than their start, so their curves say nothing")


def curve(folder: Path, name: str) -> dict[int, float]:
    """The values called `name` by the number of samples."""
    records = [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]
    return {record["samples"]: record[name] for record in records if name in record}


def thinned(samples: list[int], *, keep: Collection[int]) -> list[int]:
    """About `ROWS` of the samples, and all that are to be kept."""
    stride = max(1, len(samples) // ROWS)
    return [number for index, number in enumerate(samples) if index % stride == 0 or number in keep]


def show(value: float | None) -> str:
    """A loss, or nothing."""
    return "" if value is None else f"{value:.4f}"


if __name__ == "__main__":
    main()
