"""Reports as self-contained HTML pages and pictures: statistics, and what a selection would drop."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image

from videoldm.core.files import atomic_file, write_json, write_text
from videoldm.core.web_page import page, section, table
from videoldm.curation.report.drawing import axis, bars, histograms, sheet, spread
from videoldm.curation.report.figures import (
    clip_figures,
    clips,
    coverage_figures,
    judgement_figures,
    number,
    source_figures,
)
from videoldm.curation.report.stats import Distribution, Stats
from videoldm.curation.report.thumbnails import Thumbnail, sample, thumbnails
from videoldm.curation.selection.config import DropLowest, Filter, Where
from videoldm.curation.selection.evaluate import JUDGED, FilterCounts, Judgement
from videoldm.curation.store.view import OpenDataset, explained

_WIDTH, _BARS_HEIGHT, _HEIGHT = 320, 100, 118
NEAREST, SPREAD, WITHOUT = "nearest to the limit", "a sample of all that are dropped", "without a value"


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedSamples:
    """Some of the clips that a filter alone would drop, by kind of sample."""

    counts: FilterCounts
    samples: dict[str, list[Thumbnail]]


def write_stats_report(
    dataset: OpenDataset, stats: Stats, folder: Path, *, title: str, num_thumbnails: int = 24
) -> list[Path]:
    """Write `stats.json`, the page `stats.html` and, if there are any, its histograms as `stats.png`; return paths."""
    with explained():
        thumbnails = sample(dataset, num_thumbnails)
    data, html, png = (folder / f"stats.{ending}" for ending in ("json", "html", "png"))
    write_json(data, stats.as_json())
    write_text(html, stats_page(title, stats, thumbnails))
    return [data, html, *_write_png(png, histograms(stats.distributions) if stats.distributions else None)]


def write_gallery(dataset: OpenDataset, judgement: Judgement, folder: Path, *, num_each: int = 8) -> list[Path]:
    """Write what the selection would drop as the page `dropped.html` and, if anything, the sheet `dropped.png`."""
    dropped = dropped_samples(dataset, judgement, num_each=num_each)
    html, png = folder / "dropped.html", folder / "dropped.png"
    write_text(html, gallery_page(judgement, dropped))
    return [html, *_write_png(png, gallery_sheet(dropped) if any(each.samples for each in dropped) else None)]


def stats_page(title: str, stats: Stats, thumbnails: Sequence[Thumbnail]) -> str:
    """Return the report on a dataset."""
    sections = [section("Clips", table(clip_figures({"dataset": stats.table_one})))]
    if stats.sources:
        sections.append(section("Sources", table(source_figures(stats.sources))))
    if stats.coverage:
        sections.append(section("Annotations", table(coverage_figures(stats))))
    if stats.distributions:
        figures = "".join(histogram_figure(each) for each in stats.distributions)
        note = "<p>The first and the last bar of a histogram include the half percent beyond it.</p>"
        sections.append(section("Values", f'{note}<div class="grid">{figures}</div>'))
    if thumbnails:
        sections.append(section("Some clips", pictures(thumbnails)))
    else:
        sections.append("<p>There are no clips yet.</p>")
    return page(title, sections)


def histogram_figure(distribution: Distribution) -> str:
    """Return a histogram with the ends of its axis and the quartiles below."""
    first, _, third = map(number, distribution.quarters[1:4])
    quartiles = "" if distribution.is_constant else f", quartiles {first} and {third}"
    caption = (
        f"<b>{escape(distribution.column)}</b>, {clips(distribution.num_values)}: {spread(distribution)}{quartiles}"
    )
    return f"<figure>{histogram_svg(distribution)}<figcaption>{caption}</figcaption></figure>"


def histogram_svg(distribution: Distribution) -> str:
    """Return a histogram as SVG; a bar's range and count show when it is pointed at."""
    rectangles = "".join(
        f'<rect x="{bar.left * _WIDTH:.2f}" y="{(1 - bar.height) * _BARS_HEIGHT:.2f}" width="{bar.width * _WIDTH:.2f}" '
        f'height="{bar.height * _BARS_HEIGHT:.2f}"><title>{bar.label}: {bar.count:,}</title></rect>'
        for bar in bars(distribution)
    )
    label = f"histogram of {escape(distribution.column)}"
    start, end = axis(distribution)
    first_place = 'x="0"' if end else f'x="{_WIDTH / 2}" text-anchor="middle"'
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">{rectangles}'
        f'<line x1="0" y1="{_BARS_HEIGHT}" x2="{_WIDTH}" y2="{_BARS_HEIGHT}"/>'
        f'<text {first_place} y="{_HEIGHT - 4}">{start}</text>'
        f'<text x="{_WIDTH}" y="{_HEIGHT - 4}" text-anchor="end">{end}</text></svg>'
    )


def pictures(thumbnails: Sequence[Thumbnail]) -> str:
    """Return a grid of thumbnails with their lines."""
    return f'<div class="grid pictures">{"".join(map(_picture, thumbnails))}</div>'


def _picture(thumbnail: Thumbnail) -> str:
    if thumbnail.jpeg is None:
        image = '<div class="no-picture">no picture</div>'
    else:
        data = base64.b64encode(thumbnail.jpeg).decode()
        image = f'<img src="data:image/jpeg;base64,{data}" alt="middle frame" loading="lazy">'
    lines = "<br>".join(map(escape, thumbnail.lines))
    title = escape(f"{thumbnail.clip_id} of {thumbnail.path}")
    return f'<figure>{image}<figcaption title="{title}">{lines}</figcaption></figure>'


def dropped_samples(dataset: OpenDataset, judgement: Judgement, *, num_each: int = 8) -> list[DroppedSamples]:
    """Return samples for each filter of the latest result of `judge`.

    A filter by a number shows the clips nearest to its limit, where it shows whether the limit is right, and some of
    all values in their order, unless those are the same; a condition shows the latter only. Clips without a value
    come last.
    """
    with explained():
        return [
            DroppedSamples(counts=counts, samples=_samples(dataset, judgement, index, num_each))
            for index, counts in enumerate(judgement.filters)
        ]


def gallery_page(judgement: Judgement, dropped: Sequence[DroppedSamples]) -> str:
    """Return the page about the clips that a selection would drop."""
    filters = (
        map(_dropped_section, dropped)
        if judgement.num_left < judgement.num_clips
        else ["<p>Nothing would be dropped.</p>"]
    )
    return page("What the selection would drop", [section("Counts", table(judgement_figures(judgement))), *filters])


def gallery_sheet(dropped: Sequence[DroppedSamples]) -> Image.Image:
    """Return the same pictures as one contact sheet."""
    rows = [(f"{each.counts.label}: {what}", found) for each in dropped for what, found in each.samples.items()]
    return sheet(rows)


def _samples(dataset: OpenDataset, judgement: Judgement, index: int, num_each: int) -> dict[str, list[Thumbnail]]:
    rule, goes = judgement.selection.filters[index], f"NOT passes_{index}"
    # The first to be dropped are lowest, or else highest; the last of them is nearest to the limit.
    first, last = ("ASC", "DESC") if isinstance(rule, DropLowest) else ("DESC", "ASC")
    by_value = f"value_{index} {first}, clip_id"
    spread = f"SELECT * FROM (SELECT * FROM {JUDGED} WHERE {goes} ORDER BY md5(clip_id) LIMIT {num_each})"
    queries = {SPREAD: f"{spread} ORDER BY {by_value}"}
    if not isinstance(rule, Where):
        nearest = f"SELECT * FROM {JUDGED} WHERE {goes} ORDER BY value_{index} {last}, clip_id DESC LIMIT {num_each}"
        others = queries if judgement.filters[index].num_dropped > num_each else {}
        queries = {NEAREST: nearest, **others}
    if not judgement.selection.keep_missing:
        queries[WITHOUT] = f"SELECT * FROM {JUDGED} WHERE passes_{index} IS NULL ORDER BY md5(clip_id) LIMIT {num_each}"
    found = {
        what: dataset.connection.execute(f"SELECT clip_id, value_{index} FROM ({query})").fetchall()
        for what, query in queries.items()
    }
    return {
        what: thumbnails(dataset, {clip_id: _lines(rule, value) for clip_id, value in rows})
        for what, rows in found.items()
        if rows
    }


def _lines(rule: Filter, value: float | None) -> list[str]:
    return [] if isinstance(rule, Where) or value is None else [f"{rule.value} {number(value)}"]


def _dropped_section(dropped: DroppedSamples) -> str:
    bodies = [f"<h3>{escape(what)}</h3>{pictures(found)}" for what, found in dropped.samples.items()]
    return section(dropped.counts.label, "".join(bodies) or "<p>drops no clips</p>")


def _write_png(path: Path, picture: Image.Image | None) -> list[Path]:
    """Write the picture, or remove that of an earlier report if there is none."""
    if picture is None:
        path.unlink(missing_ok=True)
        return []
    with atomic_file(path) as partial:
        picture.save(partial)
    return [path]
