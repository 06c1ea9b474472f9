"""The video stage from the image model and from random weights: held-out loss at equal numbers of clips.

    make image-start
    python benchmarks/image_start.py runs [--seeds 0 1 2]

Reads the runs `short-mini-video-SEED` and `short-mini-video-from-scratch-SEED`, which must have the same settings
except for their start. A seed decides new weights, order and noise of training, and the noise of the measured losses.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from rich.console import Console
from rich.table import Table

from videoldm.core.config import from_yaml
from videoldm.training.folder import CONFIG_FILE, LOG_FILE
from videoldm.training.recipe import Recipe
from videoldm.training.stages.diffusion.config import DiffusionStage, FromScratch

STARTS = {"image model": "short-mini-video", "random": "short-mini-video-from-scratch"}


def main() -> None:
    """Print the losses side by side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    curves: dict[tuple[str, int], Mapping[int, float]] = {}
    for seed in options.seeds:
        folders = [options.runs / f"{name}-{seed}" for name in STARTS.values()]
        check_comparable(*folders)
        curves |= {(start, seed): losses(folder) for start, folder in zip(STARTS, folders, strict=True)}
    table = Table("clips seen", *[f"{start}, seed {seed}" for start in STARTS for seed in options.seeds], "mean ratio")
    for samples in sorted(set[int].intersection(*(set(curve) for curve in curves.values()))):
        ours, theirs = ([curves[start, seed][samples] for seed in options.seeds] for start in STARTS)
        ratio = mean(one / other for one, other in zip(ours, theirs, strict=True))
        table.add_row(f"{samples:,}", *[f"{value:.3f}" for value in (*ours, *theirs)], f"{ratio:.2f}")
    Console(width=160).print(table)


def check_comparable(pretrained: Path, scratch: Path) -> None:
    """Stop if the runs differ in more than where they start from."""
    settings: list[Recipe] = []
    for folder in (pretrained, scratch):
        recipe = from_yaml(Recipe, (folder / CONFIG_FILE).read_text(), source=str(folder / CONFIG_FILE))
        assert isinstance(recipe.stage, DiffusionStage), f"{folder} is no run of a diffusion stage"
        stage = recipe.stage.model_copy(update={"start": FromScratch()})
        settings.append(recipe.model_copy(update={"name": "", "summary": "", "stage": stage}))
    if settings[0] != settings[1]:
        sys.exit(f"{pretrained} and {scratch} differ in more than their start, so their losses say nothing")


def losses(folder: Path) -> Mapping[int, float]:
    """The loss of held-out clips at fixed noise, by the number of clips seen."""
    records = [json.loads(line) for line in (folder / LOG_FILE).read_text().splitlines()]
    return {record["samples"]: record["validation/loss"] for record in records if "validation/loss" in record}


if __name__ == "__main__":
    main()
