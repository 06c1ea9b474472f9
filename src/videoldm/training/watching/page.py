"""The page of a run: its curves, and what the model made at each validation; one static file, no server."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from videoldm.core.files import write_text
from videoldm.core.web_page import TextTable, page, section, table
from videoldm.training.folder import CONFIG_FILE, LOG_FILE, PAGE_FILE, VALIDATION
from videoldm.training.recipe import Recipe

NUM_VALIDATIONS = 4
"""Number of validations shown: the newest, and some before it, evenly spread."""

_VIDEOS, _PICTURES = (".mp4",), (".png",)
_WIDTH, _PLOT, _HEIGHT = 320, 110, 130
_MAX_POINTS = 240
_HUES = (212, 16, 140, 280, 45, 185, 330, 95)

Records = Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class Curve:
    """One value over the samples seen."""

    name: str
    samples: Sequence[int]
    values: Sequence[float]


def write_page(folder: Path, recipe: Recipe) -> Path:
    """Write the page of the run in `folder` as it stands; return its path."""
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
    """Return the records of a run's log, oldest first."""
    path = folder / LOG_FILE
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def _figures(records: Records, recipe: Recipe, curves: Mapping[str, Sequence[Curve]]) -> TextTable:
    seen = int(records[-1]["samples"] or 0) if records else 0
    total = recipe.training.num_samples
    rows = [["samples", f"{seen:,} of {total:,} ({seen / total:.0%})", "", ""]]
    for family, members in curves.items():
        if family.startswith("validation/") or family == "loss":
            values = members[0].values
            rows.append([family, f"{values[0]:.4g}", f"{min(values):.4g}", f"{values[-1]:.4g}"])
    return TextTable(["", "first", "lowest", "last"], rows)


def _shown(folder: Path) -> list[Path]:
    """Return the folders of the validations that are shown, newest first."""
    found = sorted((path for path in folder.glob("*") if path.is_dir()), reverse=True)
    step = max(1, (len(found) - 1) / (NUM_VALIDATIONS - 1))
    places = sorted({min(round(i * step), len(found) - 1) for i in range(NUM_VALIDATIONS)} if found else ())
    return [found[place] for place in places]


def _validation(run: Path, folder: Path) -> str:
    """Return a section with the clips of one validation, or its pictures if it has no clips."""
    files = sorted(path for path in folder.iterdir() if path.suffix in _VIDEOS + _PICTURES)
    videos = [path for path in files if path.suffix in _VIDEOS]
    body = "".join(_shown_file(path.relative_to(run).as_posix()) for path in videos or files)
    kind = "grid pictures" if videos else "grid"
    return section(f"After {int(folder.name):,} samples", f'<div class="{kind}">{body}</div>')


def _shown_file(name: str) -> str:
    if name.endswith(_VIDEOS):
        return f'<figure><video src="{escape(name)}" controls loop muted preload="metadata"></video></figure>'
    return f'<figure><a href="{escape(name)}"><img src="{escape(name)}" alt="validation"></a></figure>'


def families(records: Iterable[Mapping[str, float | None]]) -> dict[str, list[Curve]]:
    """Return the curves of a log by family: `loss_sigma/0-0.05` and `loss_sigma/0.05-0.2` are of one."""
    points: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for name, value in record.items():
            if name != "samples" and value is not None:
                points.setdefault(name, []).append((int(record["samples"] or 0), value))
    found: dict[str, list[Curve]] = {}
    for name, pairs in points.items():
        family = name if name.startswith("validation/") else name.partition("/")[0]
        found.setdefault(family, []).append(Curve(name, *(tuple(column) for column in zip(*pairs, strict=True))))
    return found


def figure(family: str, curves: Sequence[Curve]) -> str:
    """Return a plot of the curves of a family, with their last values below."""
    hues = {curve.name: _HUES[index % len(_HUES)] for index, curve in enumerate(curves)}
    labels = [
        f'<span style="color: hsl({hues[curve.name]} 60% 45%)">{escape(_short(curve.name, family))}'
        f"&nbsp;{curve.values[-1]:.4g}</span>"
        for curve in curves
    ]
    caption = f"<b>{escape(family)}</b> {' '.join(labels)}"
    return f"<figure>{_svg(family, curves, hues)}<figcaption>{caption}</figcaption></figure>"


def _svg(family: str, curves: Sequence[Curve], hues: Mapping[str, int]) -> str:
    thinned = [_thinned(curve) for curve in curves]
    lowest, highest = _range([value for curve in thinned for value in curve.values])
    highest = max(highest, *(curve.values[-1] for curve in thinned))  # the end is what matters
    last = max(curve.samples[-1] for curve in thinned) or 1
    lines = "".join(
        f'<polyline style="stroke: hsl({hues[curve.name]} 60% 45%)" '
        f'points="{_points(curve, lowest, highest, last)}"><title>{escape(curve.name)}</title></polyline>'
        for curve in thinned
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(family)} over samples">{lines}'
        f'<line x1="0" y1="{_PLOT}" x2="{_WIDTH}" y2="{_PLOT}"/>'
        f'<text x="2" y="10">{highest:.4g}</text><text x="2" y="{_PLOT - 4}">{lowest:.4g}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">{last:,} samples</text></svg>'
    )


def _points(curve: Curve, lowest: float, highest: float, last: int) -> str:
    shares = [(min(max(value, lowest), highest) - lowest) / (highest - lowest) for value in curve.values]
    places = zip(curve.samples, shares, strict=True)
    return " ".join(f"{_WIDTH * sample / last:.1f},{_PLOT * (1 - share):.1f}" for sample, share in places)


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Return the range of the plot: all values but the highest twentieth, which is the beginning of most runs."""
    ordered = sorted(values)
    lowest, highest = ordered[0], ordered[math.ceil(0.95 * (len(ordered) - 1))]
    return (lowest, highest) if highest > lowest else (lowest - 0.5, lowest + 0.5)


def _thinned(curve: Curve) -> Curve:
    """Return the curve with at most `_MAX_POINTS` points, each the mean of its neighbours."""
    step = math.ceil(len(curve.values) / _MAX_POINTS)
    starts = range(0, len(curve.values), step)
    means = [math.fsum(curve.values[i : i + step]) / len(curve.values[i : i + step]) for i in starts]
    ends = [curve.samples[min(i + step, len(curve.samples)) - 1] for i in starts]
    return Curve(curve.name, ends, means)


def _short(name: str, family: str) -> str:
    return name.removeprefix(family).strip("/")
