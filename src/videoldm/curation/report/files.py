"""Reports as files in a folder."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from videoldm.core.files import atomic_file, write_json, write_text
from videoldm.curation.report.drawing import histograms
from videoldm.curation.report.gallery import gallery_page, gallery_sheet, what_would_go
from videoldm.curation.report.page import stats_page
from videoldm.curation.report.stats import Stats
from videoldm.curation.report.thumbnails import sample
from videoldm.curation.selection.evaluate import Judgement
from videoldm.curation.store.view import OpenDataset, explained


def write_stats_report(
    dataset: OpenDataset, stats: Stats, folder: Path, *, title: str, num_thumbnails: int = 24
) -> list[Path]:
    """Write `stats.json`, the page `stats.html` and, if there are any, its histograms as `stats.png`; returns paths."""
    with explained():
        thumbnails = sample(dataset, num_thumbnails)
    data, html, png = (folder / f"stats.{ending}" for ending in ("json", "html", "png"))
    write_json(data, stats.as_json())
    write_text(html, stats_page(title, stats, thumbnails))
    return [data, html, *_write_png(png, histograms(stats.distributions) if stats.distributions else None)]


def write_gallery(dataset: OpenDataset, judgement: Judgement, folder: Path, *, num_each: int = 8) -> list[Path]:
    """Write what the selection would drop as the page `dropped.html` and, if anything, the sheet `dropped.png`."""
    gone = what_would_go(dataset, judgement, num_each=num_each)
    html, png = folder / "dropped.html", folder / "dropped.png"
    write_text(html, gallery_page(judgement, gone))
    return [html, *_write_png(png, gallery_sheet(gone) if any(each.samples for each in gone) else None)]


def _write_png(path: Path, picture: Image.Image | None) -> list[Path]:
    """The file, if there is a picture; one of an earlier report does not stay in its place."""
    if picture is None:
        path.unlink(missing_ok=True)
        return []
    with atomic_file(path) as partial:
        picture.save(partial)
    return [path]
