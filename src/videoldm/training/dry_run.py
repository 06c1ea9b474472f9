"""Lines of a dry run: what a run would train, what it would take, and what is rendered first.

Neither weights nor data are needed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch

from videoldm.core.config import GIB
from videoldm.core.wording import counted
from videoldm.dataset.order import BatchPlan
from videoldm.training.data.world import num_missing
from videoldm.training.forecast import StepMemory
from videoldm.training.recipe import Recipe
from videoldm.training.stages.stage import ForecastError, ParameterCount, Stage


def steps_line(recipe: Recipe) -> str:
    """Number of samples and of updates of the weights, and samples of each update."""
    training, curated = recipe.training, recipe.stage.curated_training_data
    number, sizes = math.ceil(training.num_samples / training.batch_size), f"{training.batch_size:,}"
    if curated is not None:
        number = BatchPlan(curated.buckets, seed=training.seed).num_batches(training.num_samples)
        smallest = min(bucket.batch_size for bucket in curated.buckets)
        sizes = sizes if smallest == training.batch_size else f"{smallest:,} to {sizes}"
    return f"{training.num_samples:,} samples in {number:,} steps of {sizes}"


def preview(recipe: Recipe) -> list[str]:
    """Parameters, and the memory of a step or why it is not forecast."""
    stage, training = recipe.stage, recipe.training
    lines = _parameter_lines(parameter_counts(stage))
    try:
        one, two = (stage.step_memory(training, num_samples=count) for count in (1, 2))
    except ForecastError as error:
        return [*lines, str(error)]
    curated = stage.curated_training_data
    batch = training.batch_size if curated is None else curated.largest_bucket.batch_size
    return lines + _memory_lines(one, two, micro_batch=batch // training.accumulation_steps)


def parameter_counts(stage: Stage) -> Mapping[str, ParameterCount]:
    """Numbers of parameters by what they are part of; empty if they are not known."""
    with torch.device("meta"):
        return stage.parameter_counts()


def rendering(stage: Stage, cache: Path) -> list[str]:
    """Clips that would be rendered before the first step, a line for each set."""
    lines: list[str] = []
    for key, data in stage.rendered.items():
        size = f"{counted(data.num_frames, 'frame')} of {data.height}x{data.width}"
        missing = num_missing(data, cache)
        todo = f"{missing:,} of them are rendered first, in {cache}" if missing else f"rendered already, in {cache}"
        lines.append(f"{key}: {counted(data.num_clips, 'clip')} of {size}; {todo}")
    return lines


def _parameter_lines(counts: Mapping[str, ParameterCount]) -> list[str]:
    if not counts:
        return []
    total = ParameterCount(
        sum(count.trained for count in counts.values()), sum(count.frozen for count in counts.values())
    )
    rows = [*counts.items(), ("all", total)]
    return [
        f"{'parameters':<22}{'trained':>15}{'frozen':>15}",
        *(f"{name:<22}{count.trained:>15,}{count.frozen:>15,}" for name, count in rows),
    ]


def _memory_lines(one: StepMemory, two: StepMemory, *, micro_batch: int) -> list[str]:
    parts = {
        "weights": one.weights,
        "optimizer": one.optimizer,
        "average": one.average,
        "autoencoder and encoder": one.others,
    }
    in_turn = {
        "conditions of one sample": one.encoding,
        "its activations and gradients": one.computing,
        "gradients": one.gradients,
    }
    more = max(two.encoding, two.computing) - max(one.encoding, one.computing)
    return [
        f"memory of a step on a GPU, forecast, GiB: {_listed(parts)}; in turn {_listed(in_turn)}",
        f"at most {one.peak / GIB:.2f} GiB with one sample in a micro-batch, {more / GIB:.2f} GiB for each further one",
        f"{(one.peak + (micro_batch - 1) * more) / GIB:.2f} GiB with the {micro_batch:,} of this recipe in one process",
    ]


def _listed(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size / GIB:.2f}" for name, size in sizes.items() if size)
