"""Reports as HTML pages that hold everything they show: tables, histograms as SVG, thumbnails as data URLs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape

from videoldm.core.web_page import page, section, table
from videoldm.curation.report.bars import axis, bars, spread
from videoldm.curation.report.distribution import Distribution
from videoldm.curation.report.figures import clip_figures, coverage_figures, source_figures
from videoldm.curation.report.stats import Stats
from videoldm.curation.report.thumbnails import Thumbnail
from videoldm.curation.report.wording import clips, number

_WIDTH, _BARS_HEIGHT, _HEIGHT = 320, 100, 118


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
