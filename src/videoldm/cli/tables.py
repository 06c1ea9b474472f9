"""Descriptions as tables for people."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from videoldm.core import yaml_text
from videoldm.tasks.config import TaskModelConfig

WIDE = 200
"""Number of columns without a terminal, wide enough that no line is wrapped."""


def show(description: Mapping[str, Any]) -> None:
    """Print a description: single values first, then a table or a block for each group of values."""
    console = wide_console()
    groups = {name: value for name, value in description.items() if isinstance(value, (dict, list)) and value}
    console.print(_grid({name: value for name, value in description.items() if not isinstance(value, (dict, list))}))
    for name, value in groups.items():
        match name, value:
            case "components", dict():
                console.print(_components(value))
            case "tasks", dict():
                console.print(_tasks(value))
            case "streams", list():
                for number, stream in enumerate(value):
                    console.print(f"stream {number}", _grid(stream), sep="\n")
            case _:
                console.print(f"{name}:\n{escape(_indented(yaml_text.dump(value)))}", end="")


def wide_console() -> Console:
    """A console as wide as the terminal, or wide enough where there is none."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)


def _grid(values: Mapping[str, Any]) -> Table:
    grid = Table.grid(padding=(0, 2))
    for name, value in values.items():
        text = "" if value is None else _text(name, value)
        if text:
            grid.add_row(name.replace("_", " "), escape(text))
    return grid


def _components(components: Mapping[str, Any]) -> Table:
    table = Table("part")
    for heading in ("parameters", "MB"):
        table.add_column(heading, justify="right")
    for place, part in components.items():
        table.add_row(place, f"{part['parameters']:,}", _megabytes(part["bytes"]))
    return table


def _tasks(tasks: Mapping[str, Any]) -> Table:
    signal_columns = ("fps", "motion bucket", "noise", "elevation")
    table = Table("task", "trained clip", *signal_columns, "steps", "sampler", "schedule", "guidance")
    for task, values in tasks.items():
        config = TaskModelConfig.model_validate(values)
        sampling, signals = config.sampling, config.signals
        scale = sampling.guidance.scale
        table.add_row(
            task,
            f"{config.num_frames} x {config.width}x{config.height}",
            f"{signals.fps:g}" if "fps" in config.signal_names else "-",
            f"{signals.motion_bucket:g}" if "motion_bucket" in config.signal_names else "-",
            f"{signals.noise_level:g}",
            f"{signals.elevation_deg:g}" if config.camera is not None else "-",
            str(sampling.num_inference_steps),
            sampling.sampler.kind,
            sampling.schedule.kind,
            ", ".join([scale.kind, *(f"{name} {value:g}" for name, value in _numbers(scale.model_dump()))]),
        )
    return table


def _numbers(values: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [(name, value) for name, value in values.items() if isinstance(value, float)]


def _text(name: str, value: object) -> str:
    if name == "bytes" and isinstance(value, int):
        return f"{value:,} ({_megabytes(value)} MB)"
    if name == "duration" and isinstance(value, str):
        return f"{float(Fraction(value)):.3f} s"
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    return f"{value:,}" if isinstance(value, int) and name == "parameters" else str(value)


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:.2f}"


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())
