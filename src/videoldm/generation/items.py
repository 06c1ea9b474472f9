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
from videoldm.generation.inputs import ClipInputs, check_inputs, files_of, task_for
from videoldm.generation.output_paths import check_outputs, output_paths, stems_of
from videoldm.generation.plan import (
    Item,
    Plan,
    Runtime,
    Targets,
    check_choices,
    check_contact_sheet,
    plan_checked,
    warn_of_idle_options,
)
from videoldm.inference.config import Speed
from videoldm.pipelines.open import at_speed, open_to_sample
from videoldm.pipelines.reference import ModelFiles, ModelRef, listed
from videoldm.tasks.config import TaskModelConfig, TaskName


class Row(Choices, ClipInputs):
    """One line of the list; options that it leaves out are those chosen for all."""

    output: str | None = None


def plan_list(
    path: str, model: ModelRef, choices: Choices, runtime: Runtime, targets: Targets, *, loras: str | None = None
) -> Plan:
    """Plan the clips that the lines of a .csv or .jsonl file ask for, one to one; raise InputError as `plan_new`."""
    source = existing_file(path, kind="a list (.csv or .jsonl)")
    rows = [_row(values, f"{source}, clip {number}") for number, values in enumerate(read_list(source), start=1)]
    if not rows:
        raise InputError(f"{source}: lists no clip")
    kinds = dict.fromkeys(row.given for row in rows)
    if len(kinds) > 1:
        first, second, *_ = map(listed, kinds)
        raise InputError(f"{source}: has clips from {first} and clips from {second}, make two lists of them")
    files = open_to_sample(model)
    task = task_for(files, rows[0])
    completed = [_completed(choices, row) for row in rows]
    files = _at_one_speed(files, task.name, [chosen.speed for chosen in completed], source)
    config = files.config(task.name)
    warn_of_idle_options(choices, task)
    endings = [task.default_ending(chosen.num_frames or config.num_frames) for chosen in completed]
    names = [
        row.output or f"{number:03d}-{stems_of([row])[0]}-{chosen.seed}{ending}"
        for number, (row, chosen, ending) in enumerate(zip(rows, completed, endings, strict=True))
    ]
    paths = [path for [path] in output_paths(targets.output or "outputs/", [[name] for name in names])]
    sources = files_of(rows)
    for output, chosen in zip(paths, completed, strict=True):
        _check(output, chosen, config, sources, files)
    _check_names(paths, source)
    check_contact_sheet(targets, taken=[*paths, *sources])
    items = [
        Item(
            label=f"clip {number}, {row.label}",
            paths=[output],
            inputs=row,
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
        check_inputs(row)
        for path in row.files:
            existing_file(path, kind="a picture")
    except InputError as error:
        raise InputError(f"{source}: {error}") from None
    return row


def _at_one_speed(files: ModelFiles, task: TaskName, speeds: Sequence[Speed], source: Path) -> ModelFiles:
    """Return the files that make all clips; raise InputError if some are a student's and some are not."""
    found = {at_speed(files, task, speed).ref.student: speed for speed in speeds}
    if len(found) > 1:
        first, second, *_ = found.values()
        raise InputError(f"{source}: has clips at speed {first} and {second}, of two networks: make two lists of them")
    return at_speed(files, task, speeds[0])


def _completed(choices: Choices, row: Row) -> Choices:
    """Return the choices as this line changes them."""
    fields = row.model_fields_set - {*ClipInputs.model_fields, "output"}
    return choices.model_copy(update={name: getattr(row, name) for name in fields})


def _check(path: Path, chosen: Choices, config: TaskModelConfig, sources: Sequence[Path], files: ModelFiles) -> None:
    check_choices(chosen, config, files)
    num_frames = chosen.num_frames or config.num_frames
    check_outputs([path], inputs=sources, num_frames=num_frames, output_fps=chosen.playback_rate(config))


def _check_names(paths: Sequence[Path], source: Path) -> None:
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise InputError(f"{source}: two clips would be written to {twice[0]}, each needs a name of its own")
