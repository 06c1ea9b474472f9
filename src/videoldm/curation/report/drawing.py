"""Histograms and thumbnails drawn as pictures, and the geometry of histograms that pages share."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError

from videoldm.curation.report.figures import clips, number
from videoldm.curation.report.stats import Distribution
from videoldm.curation.report.thumbnails import Thumbnail

_PAPER, _INK, _SOFT, _BAR, _LINE = "#ffffff", "#1c2024", "#667079", "#3b76b3", "#d9dee3"
_GAP_PX = 16
_LINE_PX = 18
_FONT_SIZE = 13
_TILE_PX = 160
_TILE_HEIGHT_PX = 90
_PLOT_PX = (360, 120)
_PLOTS_A_ROW = 3
_WIDEST = 1 / 20
"""Largest width of a bar, so that a single value does not fill the whole plot."""
_GAP = 1 / 5
"""Gap between bars, as a share of a bin."""


def histograms(distributions: Sequence[Distribution]) -> Image.Image:
    """Draw all histograms, three in a row."""
    width, height = _PLOT_PX[0] + _GAP_PX, _PLOT_PX[1] + 2 * _LINE_PX + _GAP_PX
    num_rows = -(-len(distributions) // _PLOTS_A_ROW)
    picture = Image.new("RGB", (_PLOTS_A_ROW * width + _GAP_PX, max(1, num_rows) * height + _GAP_PX), _PAPER)
    for index, distribution in enumerate(distributions):
        row, column = divmod(index, _PLOTS_A_ROW)
        _plot(ImageDraw.Draw(picture), distribution, _GAP_PX + column * width, _GAP_PX + row * height)
    return picture


def sheet(rows: Sequence[tuple[str, Sequence[Thumbnail]]]) -> Image.Image:
    """Draw a contact sheet: each row has a heading, then its pictures with their first lines below."""
    num_columns = max([1, *(len(found) for _, found in rows)])
    height = _TILE_HEIGHT_PX + 2 * _LINE_PX + _GAP_PX
    size = (_GAP_PX + num_columns * (_TILE_PX + _GAP_PX), _GAP_PX + max(1, len(rows)) * height)
    picture = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(picture)
    for index, (heading, found) in enumerate(rows):
        top = _GAP_PX + index * height
        _write(draw, heading, (_GAP_PX, top), size[0] - 2 * _GAP_PX, _INK)
        for column, thumbnail in enumerate(found):
            left = _GAP_PX + column * (_TILE_PX + _GAP_PX)
            _paste(picture, thumbnail.jpeg, left, top + _LINE_PX)
            first = thumbnail.lines[0] if thumbnail.lines else thumbnail.clip_id
            _write(draw, first, (left, top + _LINE_PX + _TILE_HEIGHT_PX), _TILE_PX, _SOFT)
    return picture


def _plot(draw: ImageDraw.ImageDraw, distribution: Distribution, left: int, top: int) -> None:
    width, height = _PLOT_PX
    _write(draw, f"{distribution.column}, {clips(distribution.num_values)}", (left, top), width, _INK)
    bottom = top + _LINE_PX + height
    for bar in bars(distribution):
        start, end = round(left + width * bar.left), round(left + width * (bar.left + bar.width))
        draw.rectangle((start, round(bottom - height * bar.height), max(start, end - 1), bottom - 1), fill=_BAR)
    draw.line((left, bottom, left + width, bottom), fill=_LINE)
    _write(draw, spread(distribution), (left, bottom + 1), width, _SOFT)


def _paste(picture: Image.Image, jpeg: bytes | None, left: int, top: int) -> None:
    """Paste a thumbnail into its tile, or draw an empty frame."""
    try:
        tile = Image.open(io.BytesIO(jpeg or b"")).convert("RGB")
    except (UnidentifiedImageError, OSError):
        box = (left, top, left + _TILE_PX - 1, top + _TILE_HEIGHT_PX - 1)
        draw = ImageDraw.Draw(picture)
        draw.rectangle(box, outline=_LINE)
        _write(draw, "no picture", (left + _GAP_PX, top + _TILE_HEIGHT_PX // 2 - _LINE_PX // 2), _TILE_PX, _SOFT)
        return
    picture.paste(ImageOps.contain(tile, (_TILE_PX, _TILE_HEIGHT_PX)), (left, top))


def _write(draw: ImageDraw.ImageDraw, text: str, place: tuple[int, int], room: int, colour: str) -> None:
    """Write one line, cut to fit, in the letters that Pillow's font has: those without accents."""
    font = ImageFont.load_default(size=_FONT_SIZE)
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    line = " ".join(bare.encode("ascii", "replace").decode().split())
    while line and draw.textlength(line, font=font) > room:
        line = f"{line[:-4]}..." if len(line) > 4 else ""
    draw.text(place, line, font=font, fill=colour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of a histogram, in shares of the plot's width and height."""

    left: float
    width: float
    height: float
    label: str
    """Values that the bar counts."""
    count: int


def bars(distribution: Distribution) -> list[Bar]:
    """Return the bars of all bins that are not empty, from left to right."""
    bin_width, largest = 1 / len(distribution.counts), max(distribution.counts)
    width = min(bin_width * (1 - _GAP), _WIDEST)
    return [
        Bar(
            left=(index + 0.5) * bin_width - width / 2,
            width=width,
            height=count / largest,
            label=_label(distribution, index),
            count=count,
        )
        for index, count in enumerate(distribution.counts)
        if count
    ]


def axis(distribution: Distribution) -> tuple[str, str]:
    """Return the labels at the ends of the axis; the second is empty if there is one bin only."""
    if not distribution.is_by_value:
        return number(distribution.edges[0]), number(distribution.edges[-1])
    last = len(distribution.counts) - 1
    return _label(distribution, 0), _label(distribution, last) if last else ""


def spread(distribution: Distribution) -> str:
    """Return in words the range of the values."""
    lowest, _, median, _, highest = map(number, distribution.quarters)
    return f"always {median}" if distribution.is_constant else f"{lowest} to {highest}, median {median}"


def _label(distribution: Distribution, index: int) -> str:
    start, end = distribution.edges[index : index + 2]
    return number((start + end) / 2) if distribution.is_by_value else f"{number(start)} to {number(end)}"
