"""A list of clips, each with a picture or prompt and choices of its own."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from videoldm.cli.generate_options import GenerateOptions
from videoldm.cli.inputs import find_pictures
from videoldm.cli.outputs import check_outputs, output_paths, slug
from videoldm.cli.plan import (
    Item,
    Plan,
    check_contact_sheet,
    check_request_size,
    files_of,
    make_plan,
    task_for,
)
from videoldm.core.config import validate
from videoldm.core.errors import InputError
from videoldm.core.reading import existing_file
from videoldm.tasks.cameras import elevations_of
from videoldm.tasks.config import TaskModelConfig
from videoldm.tasks.request import Choices

NOT_BESIDE = ("image", "prompt", "from_", "num_videos_per_prompt")
"""Options that mean nothing beside a list."""


class Row(Choices):
    """One line of the list; what it leaves out is as the options say."""

    image: str | None = None
    prompt: str | None = None
    output: str | None = None


def plan_items(options: GenerateOptions) -> Plan:
    """The clips that the lines of --items ask for, one to one."""
    assert options.items is not None
    for name in NOT_BESIDE:
        if name in options.model_fields_set:
            raise InputError(f"--items lists all clips, leave out {'--' + name.rstrip('_').replace('_', '-')}")
    source = existing_file(options.items, kind="a list (.csv or .jsonl)")
    rows = [_row(values, f"{source}, clip {number}") for number, values in enumerate(read_list(source), start=1)]
    if not rows:
        raise InputError(f"{source}: lists no clip")
    kinds = {row.image is not None for row in rows}
    if len(kinds) > 1:
        raise InputError(f"{source}: has pictures and prompts, which are for different models: make two lists")
    files = files_of(options)
    config = files.config(task_for(files, has_picture=kinds.pop()))
    choices = [_completed(options, row) for row in rows]
    names = [_name(number, row, chosen) for number, (row, chosen) in enumerate(zip(rows, choices, strict=True))]
    paths = [path for [path] in output_paths(options.output or "outputs/", [[name] for name in names])]
    pictures = [path for row in rows if row.image is not None for path in find_pictures(row.image)]
    for path, chosen in zip(paths, choices, strict=True):
        _check(path, chosen, config, pictures, files.size_factor)
    _check_names(paths, source)
    check_contact_sheet(options.contact_sheet, taken=[*paths, *pictures])
    items = [
        Item(
            label=f"clip {number}, {row.image or row.prompt}",
            paths=[path],
            image=None if row.image is None else Path(row.image),
            prompt=row.prompt,
            choices=chosen,
        )
        for number, (row, path, chosen) in enumerate(zip(rows, paths, choices, strict=True), start=1)
    ]
    return make_plan(options, items, files, config)


def read_list(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a CSV file, without empty cells, or of a file with one JSON object a line."""
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
                    raise InputError(f"{path}, line {number}: is no JSON object")
                yield cast("dict[str, Any]", value)
    except (UnicodeDecodeError, json.JSONDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as {path.suffix.lower() or 'JSON lines'}: {error}") from None


def _row(values: dict[str, Any], source: str) -> Row:
    row = validate(Row, values, source=source)
    if (row.image is None) == (row.prompt is None):
        raise InputError(f"{source}: should have a picture (image) or a sentence (prompt), and not both")
    return row


def _completed(options: GenerateOptions, row: Row) -> GenerateOptions:
    """The options as this line changes them."""
    fields = row.model_fields_set - {"image", "prompt", "output"}
    return options.model_copy(update={name: getattr(row, name) for name in fields})


def _name(number: int, row: Row, chosen: GenerateOptions) -> str:
    stem = slug(row.prompt or "") if row.image is None else Path(row.image).stem
    return row.output or f"{number:03d}-{stem}-{chosen.seed}.mp4"


def _check(path: Path, chosen: GenerateOptions, config: TaskModelConfig, pictures: Sequence[Path], factor: int) -> None:
    check_request_size(chosen, config, factor)
    num_frames = chosen.num_frames or config.num_frames
    elevations_of(chosen.elevations_deg, chosen.azimuths_deg, config, num_frames)
    output_fps = chosen.output_fps or chosen.fps or config.signals.fps
    check_outputs([path], inputs=pictures, num_frames=num_frames, output_fps=output_fps)


def _check_names(paths: Sequence[Path], source: Path) -> None:
    twice = [path for path in paths if paths.count(path) > 1]
    if twice:
        raise InputError(f"{source}: two clips are to be {twice[0]}, each needs a name of its own")
