"""Curves of a run's log as SVG: one figure for each family of values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _PLOT, _HEIGHT = 320, 110, 130
_MAX_POINTS = 240
_HUES = (212, 16, 140, 280, 45, 185, 330, 95)


@dataclass(frozen=True)
class Curve:
    """One value over the samples seen."""

    name: str
    samples: Sequence[int]
    values: Sequence[float]


def families(records: Iterable[Mapping[str, float | None]]) -> dict[str, list[Curve]]:
    """The curves of a log, those of one family together: `loss_sigma/0-0.05` and `loss_sigma/0.05-0.2` are one."""
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
    """The curves of a family in one plot, with their last values below."""
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
    """What the plot shows: all but the highest twentieth, which is the beginning of most runs."""
    ordered = sorted(values)
    lowest, highest = ordered[0], ordered[math.ceil(0.95 * (len(ordered) - 1))]
    return (lowest, highest) if highest > lowest else (lowest - 0.5, lowest + 0.5)


def _thinned(curve: Curve) -> Curve:
    """At most so many points, each the mean of its neighbours."""
    step = math.ceil(len(curve.values) / _MAX_POINTS)
    starts = range(0, len(curve.values), step)
    means = [math.fsum(curve.values[i : i + step]) / len(curve.values[i : i + step]) for i in starts]
    ends = [curve.samples[min(i + step, len(curve.samples)) - 1] for i in starts]
    return Curve(curve.name, ends, means)


def _short(name: str, family: str) -> str:
    return name.removeprefix(family).strip("/")
