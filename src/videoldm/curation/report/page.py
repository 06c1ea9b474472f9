"""One HTML page that holds everything it shows: tables, histograms as SVG, thumbnails as data URLs."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from html import escape

from videoldm.curation.report.bars import axis, bars, spread
from videoldm.curation.report.distribution import Distribution
from videoldm.curation.report.figures import Figures, clip_figures, coverage_figures, source_figures
from videoldm.curation.report.stats import Stats
from videoldm.curation.report.thumbnails import Thumbnail
from videoldm.curation.report.wording import clips, number

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2024; --soft: #667079; --paper: #ffffff; --line: #d9dee3; --bar: #3b76b3; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebee; --soft: #98a2ab; --paper: #14171a; --line: #333a41; --bar: #6ea3da; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 0.6rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 1rem 0.3rem 0; text-align: left; vertical-align: top;
  white-space: pre-line; overflow-wrap: anywhere; }
td:first-child { overflow-wrap: normal; } th, .number { white-space: nowrap; }
th { color: var(--soft); font-weight: 500; } .number { text-align: right; }
.grid { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(19rem, 1fr)); }
.pictures { grid-template-columns: repeat(auto-fill, minmax(8rem, 1fr)); gap: 0.8rem; }
figure { margin: 0; } figcaption { color: var(--soft); font-size: 0.8rem; overflow-wrap: anywhere; }
figcaption b { color: var(--ink); font-weight: 600; }
img, .no-picture { width: 100%; aspect-ratio: 16 / 9; border-radius: 4px; display: block; box-sizing: border-box; }
img { object-fit: contain; background: var(--line); }
.no-picture { border: 1px dashed var(--line); color: var(--soft); font-size: 0.8rem;
  display: grid; place-items: center; }
svg { width: 100%; height: auto; display: block; } rect { fill: var(--bar); }
svg text { fill: var(--soft); font-size: 11px; } svg line { stroke: var(--line); }
"""

_WIDTH, _BARS_HEIGHT, _HEIGHT = 320, 100, 118


def page(title: str, sections: Iterable[str]) -> str:
    """A whole document."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{chr(10).join(sections)}\n</body></html>\n"
    )


def stats_page(title: str, stats: Stats, thumbnails: Sequence[Thumbnail]) -> str:
    """The report on a dataset."""
    sections = [section("Clips", table(clip_figures({"dataset": stats.table_one})))]
    if stats.sources:
        sections.append(section("Sources", table(source_figures(stats.sources))))
    if stats.coverage:
        sections.append(section("Annotations", table(coverage_figures(stats))))
    if stats.distributions:
        figures = "".join(histogram_figure(each) for each in stats.distributions)
        note = "<p>The first and the last bar of a histogram take in the half percent beyond their side.</p>"
        sections.append(section("Values", f'{note}<div class="grid">{figures}</div>'))
    if thumbnails:
        sections.append(section("Some clips", pictures(thumbnails)))
    else:
        sections.append("<p>There are no clips yet.</p>")
    return page(title, sections)


def section(heading: str, body: str) -> str:
    """A part of a page."""
    return f"<h2>{escape(heading)}</h2>\n{body}"


def table(figures: Figures) -> str:
    """A table of texts; columns of numbers are aligned to the right."""
    classes = [' class="number"' if is_number else "" for is_number in figures.are_numbers]
    lines = [_cells("th", classes, figures.headings), *(_cells("td", classes, row) for row in figures.rows)]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _cells(tag: str, classes: Sequence[str], texts: Sequence[str]) -> str:
    return "".join(f"<{tag}{kind}>{escape(text)}</{tag}>" for kind, text in zip(classes, texts, strict=True))


def histogram_figure(distribution: Distribution) -> str:
    """A histogram, with the ends of its axis and the quartiles below."""
    first, _, third = map(number, distribution.quarters[1:4])
    quartiles = "" if distribution.is_constant else f", quartiles {first} and {third}"
    caption = (
        f"<b>{escape(distribution.column)}</b>, {clips(distribution.num_values)}: {spread(distribution)}{quartiles}"
    )
    return f"<figure>{histogram_svg(distribution)}<figcaption>{caption}</figcaption></figure>"


def histogram_svg(distribution: Distribution) -> str:
    """Bars whose heights are counts; a bar's range and count show when it is pointed at."""
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
    """A grid of thumbnails with their lines."""
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
