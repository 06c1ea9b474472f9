"""The card beside exported weights: what they are, how they were trained, and how good they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from videoldm.core.config import to_yaml
from videoldm.core.files import write_text
from videoldm.core.reading import read_mapping
from videoldm.training.folder import CARD_FILE, INPUTS_FILE
from videoldm.training.recipe import Recipe
from videoldm.training.stages.stage import Stage
from videoldm.training.watching.page import Records, read_log


def write_model_card(folder: Path, export: Path, recipe: Recipe) -> Path:
    """Write the card of the run in `folder` into its export, as the hub shows it; return its path."""
    inputs = read_mapping(folder / INPUTS_FILE) if (folder / INPUTS_FILE).exists() else {}
    parts = [_front_matter(recipe.stage), _heading(recipe), _usage(recipe.stage, export), _training(recipe, inputs)]
    parts.append(_measured(read_log(folder)))
    parts.append(f"## Configuration\n\n```yaml\n{to_yaml(recipe)}```\n")
    path = export / CARD_FILE
    write_text(path, "\n".join(part for part in parts if part))
    return path


def _front_matter(stage: Stage) -> str:
    lines = ["library_name: videoldm", "tags:", f"- {stage.kind}"]
    if stage.pipeline_tag is not None:
        lines.append(f"pipeline_tag: {stage.pipeline_tag}")
    return "\n".join(["---", *lines, "---", ""])


def _heading(recipe: Recipe) -> str:
    summary = recipe.summary[:1].upper() + recipe.summary[1:]
    return f"# {recipe.name}\n\n{summary}. The weights are the average over the run (EMA).\n"


def _usage(stage: Stage, export: Path) -> str:
    commands = stage.usage(export.as_posix())
    return "\n".join(["## Use", "", "```", *commands, "```", ""]) if commands else ""


def _training(recipe: Recipe, inputs: Mapping[str, str]) -> str:
    training = recipe.training
    rows = {
        "samples": f"{training.num_samples:,}",
        "batch": f"{training.batch_size:,}",
        "precision": training.precision,
        "seed": str(training.seed),
        **{f"read from `{key}`": f"content {content}" for key, content in inputs.items()},
    }
    return _table("## Training", ("", ""), rows)


def _measured(records: Records) -> str:
    """Return a table of the last value of each number that validation gave."""
    last = {name: value for record in records for name, value in record.items() if name.startswith("validation/")}
    rows = {name.removeprefix("validation/"): "not finite" if x is None else f"{x:.4g}" for name, x in last.items()}
    return _table("## Measured on held-out clips", ("", "last"), rows) if rows else ""


def _table(heading: str, columns: tuple[str, str], rows: Mapping[str, str]) -> str:
    lines = [f"| {name} | {value} |" for name, value in rows.items()]
    return "\n".join([heading, "", f"| {' | '.join(columns)} |", "|---|---|", *lines, ""])
