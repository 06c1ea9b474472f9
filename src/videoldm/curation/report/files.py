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
    """Write `stats.json`, the page `stats.html` and its histograms as `stats.png`; returns their paths."""
    with explained():
        thumbnails = sample(dataset, num_thumbnails)
    paths = [folder / f"stats.{ending}" for ending in ("json", "html", "png")]
    write_json(paths[0], stats.as_json())
    write_text(paths[1], stats_page(title, stats, thumbnails))
    _write_png(paths[2], histograms(stats.distributions))
    return paths


def write_gallery(dataset: OpenDataset, judgement: Judgement, folder: Path, *, num_each: int = 8) -> list[Path]:
    """Write what the selection would drop as the page `dropped.html` and the contact sheet `dropped.png`."""
    gone = what_would_go(dataset, judgement, num_each=num_each)
    paths = [folder / "dropped.html", folder / "dropped.png"]
    write_text(paths[0], gallery_page(judgement, gone))
    _write_png(paths[1], gallery_sheet(gone))
    return paths


def _write_png(path: Path, picture: Image.Image) -> None:
    with atomic_file(path) as partial:
        picture.save(partial)
