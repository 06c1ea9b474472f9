"""Image to video trained on curated clips against all clips of the same videos, at equal steps, then finetuned.

    videoldm train mini-autoencoder && videoldm train mini-encoders && videoldm train mini-image
    python benchmarks/curated_against_uncurated.py runs/curated-against-uncurated

Videos with still shots, text and rapid cuts (`mixed_videos.py`) are turned into two sets of clips (`curated_sets.py`).
The same recipe trains on each from the same image model, with the same seeds; then each of these models is finetuned on
the same few good clips (SVD, sections 3.3 and 3.4). Losses are those of held-out clips of moving scenes at the same
noise; sampled clips begin with the first frames of such clips. The same command resumes after an interruption.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path

import torch
from curated_sets import ClipSet, SetTruth, curated_set, truth_of, uncurated_set
from curated_training import BUCKET, WINDOWS, Figures, Place, finetuned, mean, measured, pretrained
from mixed_videos import FAULTS, make_videos
from rich.console import Console
from rich.table import Table

from videoldm.core.files import write_json
from videoldm.core.progress import progress

SETS = ("uncurated", "curated")
Results = dict[str, dict[int, dict[str, Figures]]]
"""By stage, seed and set."""


def main() -> None:
    """Make what is missing and print."""
    arguments = _arguments()
    start = time.monotonic()
    sets = make_sets(arguments.work, arguments.videos)
    print_truth({clips.name: truth_of(clips, BUCKET, WINDOWS.windows_per_clip) for clips in sets})
    results: Results = {"pretrained": {}, "finetuned": {}}
    for seed in range(arguments.seeds):
        for clips in sets:
            for stage, figures in trained(clips, seed, arguments).items():
                results[stage].setdefault(seed, {})[clips.name] = figures
        print_results(results, f"{arguments.samples:,} samples, then {arguments.finetune_samples:,}")
    print(f"{time.monotonic() - start:.0f} s on {torch.get_num_threads()} threads, torch {torch.__version__}")


def make_sets(work: Path, num_videos: int) -> list[ClipSet]:
    """Both sets, without those that train first."""
    videos = work / "videos"
    with progress("Making videos", num_videos) as advance:
        for _ in make_videos(videos, num_videos):
            advance()
    return [uncurated_set(videos, work), curated_set(videos, work)]


def trained(clips: ClipSet, seed: int, arguments: argparse.Namespace) -> dict[str, Figures]:
    """The figures of the model that a set gives, and of that after finetuning."""
    work = arguments.work
    place = Place(image_model=arguments.image_model, runs=work / "runs", cache=work / "cache")
    first = pretrained(clips, place, seed=seed, num_samples=arguments.samples)
    second = finetuned(f"{clips.name}-finetuned", first, place, seed=seed, num_samples=arguments.finetune_samples)
    return {
        stage: kept_figures(work / "figures" / f"{clips.name}-{stage}-{seed}.json", export, arguments)
        for stage, export in (("pretrained", first), ("finetuned", second))
    }


def kept_figures(path: Path, export: Path, arguments: argparse.Namespace) -> Figures:
    """What was measured before, or is now."""
    if not path.exists():
        figures = measured(export, arguments.work / "cache", num_sampled=arguments.sampled)
        write_json(path, asdict(figures))
    return Figures(**json.loads(path.read_text()))


def print_truth(sets: dict[str, SetTruth]) -> None:
    """How many windows of each set are faulty, by what the generator knows."""
    table = Table("set", "clips", "windows", *(f"{fault}, %" for fault in FAULTS), "clean, %", "clean")
    for name, truth in sets.items():
        shares = [100 * truth.num_with[fault] / truth.num_windows for fault in FAULTS]
        shares.append(100 * truth.num_clean / truth.num_windows)
        counts = (str(truth.num_clips), str(truth.num_windows))
        table.add_row(name, *counts, *(f"{share:.1f}" for share in shares), str(truth.num_clean))
    Console().print(table)


def print_results(results: Results, title: str) -> None:
    """A row for each stage and seed: losses with their paired difference; then figures of sampled clips."""
    losses = Table("stage", "seed", *SETS, "difference", "lower for", title=f"{title}: loss of held-out clips")
    columns = ("perceptual distance", "motion / true", "warping error")
    sampled = Table("stage", "seed", *(f"{what}: {name}" for what in columns for name in SETS), title="sampled clips")
    for stage, by_seed in results.items():
        for seed, by_set in by_seed.items():
            both = [by_set[name] for name in SETS]
            losses.add_row(stage, str(seed), *_loss_cells(*both))
            sampled.add_row(stage, str(seed), *_sampled_cells(both))
    console = Console(width=150)
    console.print(losses)
    console.print(sampled)


def _loss_cells(before: Figures, after: Figures) -> list[str]:
    gains = torch.tensor(after.losses, dtype=torch.float64) - torch.tensor(before.losses, dtype=torch.float64)
    error = float(gains.std()) / len(gains) ** 0.5
    return [
        f"{mean(before.losses):.4f}",
        f"{mean(after.losses):.4f}",
        f"{float(gains.mean()):+.4f} ± {error:.4f}",
        f"{int((gains < 0).sum())} of {len(gains)}",
    ]


def _sampled_cells(both: list[Figures]) -> list[str]:
    return [
        *(f"{one.perceptual:.3f}" for one in both),
        *(f"{one.motion:.2f}" for one in both),
        *(f"{one.warping:.4f}" for one in both),
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for videos, sets, runs and figures")
    parser.add_argument("--image-model", type=Path, default=Path("runs/mini-image/export"))
    parser.add_argument("--videos", type=int, default=36)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--finetune-samples", type=int, default=256)
    parser.add_argument("--sampled", type=int, default=16, help="clips that are sampled from each model")
    parser.add_argument("--seeds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
