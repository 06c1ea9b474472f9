"""The page of a run: its curves, and what the model made at each validation; one static file, no server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from videoldm.core.figures import Figures
from videoldm.core.files import write_text
from videoldm.core.web_page import page, section, table
from videoldm.training.layout import CONFIG_FILE, LOG_FILE, PAGE_FILE, VALIDATION
from videoldm.training.recipe import Recipe
from videoldm.training.watching.curves import Curve, families, figure

NUM_VALIDATIONS = 4
"""How many validations are shown: the newest, and some before it, evenly spread."""

_VIDEOS, _PICTURES = (".mp4",), (".png",)

Records = Sequence[Mapping[str, float | None]]


def write_page(folder: Path, recipe: Recipe) -> Path:
    """Write the page of the run in `folder` as it stands; returns its path."""
    records = read_log(folder)
    curves = families(records)
    sections = [f"<p>{escape(recipe.summary)}</p>", table(_figures(records, recipe, curves))]
    plots = "".join(figure(family, members) for family, members in curves.items())
    if plots:
        sections.append(section("Curves", f'<div class="grid">{plots}</div>'))
    sections += [_validation(folder, path) for path in _shown(folder / VALIDATION)]
    sections.append(f'<p><a href="{CONFIG_FILE}">configuration</a>, <a href="{LOG_FILE}">log</a></p>')
    path = folder / PAGE_FILE
    write_text(path, page(recipe.name, sections))
    return path


def read_log(folder: Path) -> Records:
    """The records of a run's log, oldest first; none before the first one is written."""
    path = folder / LOG_FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _figures(records: Records, recipe: Recipe, curves: Mapping[str, Sequence[Curve]]) -> Figures:
    seen = int(records[-1]["samples"] or 0) if records else 0
    total = recipe.training.num_samples
    rows = [["samples", f"{seen:,} of {total:,} ({seen / total:.0%})", "", ""]]
    for family, members in curves.items():
        if family.startswith("validation/") or family == "loss":
            values = members[0].values
            rows.append([family, f"{values[0]:.4g}", f"{min(values):.4g}", f"{values[-1]:.4g}"])
    return Figures(["", "first", "lowest", "last"], rows)


def _shown(folder: Path) -> list[Path]:
    """Newest first."""
    found = sorted((path for path in folder.glob("*") if path.is_dir()), reverse=True)
    step = max(1, (len(found) - 1) / (NUM_VALIDATIONS - 1))
    places = sorted({min(round(i * step), len(found) - 1) for i in range(NUM_VALIDATIONS)} if found else ())
    return [found[place] for place in places]


def _validation(run: Path, folder: Path) -> str:
    """The clips of one validation, or its pictures if it has no clips."""
    files = sorted(path for path in folder.iterdir() if path.suffix in _VIDEOS + _PICTURES)
    videos = [path for path in files if path.suffix in _VIDEOS]
    body = "".join(_shown_file(path.relative_to(run).as_posix()) for path in videos or files)
    kind = "grid pictures" if videos else "grid"
    return section(f"After {int(folder.name):,} samples", f'<div class="{kind}">{body}</div>')


def _shown_file(name: str) -> str:
    if name.endswith(_VIDEOS):
        return f'<figure><video src="{escape(name)}" controls loop muted preload="metadata"></video></figure>'
    return f'<figure><a href="{escape(name)}"><img src="{escape(name)}" alt="validation"></a></figure>'
