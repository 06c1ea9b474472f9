"""Plans for a list of clips, each with a picture or prompt and choices of its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file
from videoldm.generation.choices import Choices
from videoldm.generation.output_paths import check_outputs, output_paths, slug
from videoldm.generation.plan import (
    Item,
    Plan,
    Runtime,
    Targets,
    check_choices,
    check_contact_sheet,
    check_inputs,
    plan_checked,
    task_for,
    warn_of_idle_options,
)
from videoldm.generation.request import given_inputs
from videoldm.pipelines.open import open_model
from videoldm.pipelines.reference import ModelFiles, ModelRef, listed
from videoldm.tasks.config import TaskModelConfig
from videoldm.video.picture_files import find_pictures


class Row(Choices):
    """One line of the list; options that it leaves out are those chosen for all."""

    image: str | None = None
    prompt: str | None = None
    output: str | None = None


def plan_list(
    path: str, model: ModelRef, choices: Choices, runtime: Runtime, targets: Targets, *, loras: str | None = None
) -> Plan:
    """Plan the clips that the lines of a .csv or .jsonl file ask for, one to one; raise InputError as `plan_new`."""
    source = existing_file(path, kind="a list (.csv or .jsonl)")
    rows = [_row(values, f"{source}, clip {number}") for number, values in enumerate(read_list(source), start=1)]
    if not rows:
        raise InputError(f"{source}: lists no clip")
    kinds = dict.fromkeys(given_inputs(row.image, row.prompt) for row in rows)
    if len(kinds) > 1:
        first, second, *_ = map(listed, kinds)
        raise InputError(f"{source}: has clips from {first} and clips from {second}, make two lists of them")
    files = open_model(model)
    task = task_for(files, rows[0].image, rows[0].prompt)
    config = files.config(task.name)
    warn_of_idle_options(choices, task)
    completed = [_completed(choices, row) for row in rows]
    endings = [task.default_ending(chosen.num_frames or config.num_frames) for chosen in completed]
    names = [
        row.output or f"{number:03d}-{_stem(row)}-{chosen.seed}{ending}"
        for number, (row, chosen, ending) in enumerate(zip(rows, completed, endings, strict=True))
    ]
    paths = [path for [path] in output_paths(targets.output or "outputs/", [[name] for name in names])]
    pictures = [path for row in rows if row.image is not None for path in find_pictures(row.image)]
    for output, chosen in zip(paths, completed, strict=True):
        _check(output, chosen, config, pictures, files)
    _check_names(paths, source)
    check_contact_sheet(targets, taken=[*paths, *pictures])
    items = [
        Item(
            label=f"clip {number}, {row.image or row.prompt}",
            paths=[output],
            image=None if row.image is None else Path(row.image),
            prompt=row.prompt,
            choices=chosen,
        )
        for number, (row, output, chosen) in enumerate(zip(rows, paths, completed, strict=True), start=1)
    ]
    return plan_checked(items, files, config, runtime, loras=loras)


def read_list(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a CSV file, without empty cells, or of a file with one JSON object a line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".csv":
            for cells in csv.DictReader(text.splitlines(), strict=True):
                yield {name: value for name, value in cells.items() if value not in (None, "")}
            return
        for number, line in enumerate(text.splitlines(), start=1):
            if line.strip():
                value = json.loads(line)
                if not isinstance(value, dict):
                    raise InputError(f"{path}, line {number}: is not a JSON object")
                yield cast("dict[str, Any]", value)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as {path.suffix.lower() or 'JSON lines'}: {error}") from None


def _row(values: dict[str, Any], source: str) -> Row:
    row = validate(Row, values, source=source)
    try:
        check_inputs(row.image, row.prompt)
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return row


def _completed(choices: Choices, row: Row) -> Choices:
    """Return the choices as this line changes them."""
    fields = row.model_fields_set - {"image", "prompt", "output"}
    return choices.model_copy(update={name: getattr(row, name) for name in fields})


def _stem(row: Row) -> str:
    return slug(row.prompt or "") if row.image is None else Path(row.image).stem


def _check(path: Path, chosen: Choices, config: TaskModelConfig, pictures: Sequence[Path], files: ModelFiles) -> None:
    check_choices(chosen, config, files)
    num_frames = chosen.num_frames or config.num_frames
    check_outputs([path], inputs=pictures, num_frames=num_frames, output_fps=chosen.playback_rate(config))


def _check_names(paths: Sequence[Path], source: Path) -> None:
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise InputError(f"{source}: two clips would be written to {twice[0]}, each needs a name of its own")
